"""Who changed what: a history table beside each table that can move money, filled by triggers.

Each row of `<table>_history` is the row as it was after an insert or update, or before a delete,
with the time and the context: who acted, by which command, URL or task, and why
(`config.history`). No context means that somebody wrote by SQL, outside the product.

Bulk tables have none (COPY would be recorded row by row): digests and seals cover those.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pghistory
import pgtrigger
from django.db import models

INSERTS: Final = ("insert",)
"""For tables whose rows are written once."""
ENDS: Final = ("insert", "update")
"""For tables of which rows are never taken away."""
UPDATES: Final = ("update",)
"""For tables that come by the thousand, and whose rows say themselves where they came from."""
ALL: Final = ("insert", "update", "delete")


def record(
    model: type[models.Model],
    acts: Iterable[str] = ALL,
    *,
    without: Iterable[str] = (),
    app: str | None = None,
    quiet: Iterable[str] = (),
) -> None:
    """Record what happens to a model's rows.

    `without` are fields that the history does not keep (secrets; what the row itself keeps for
    ever). A change of theirs is recorded all the same, but for those in `quiet`: fields that say
    nothing (the time of a last use). `app` is whose the history is, for a model from outside.
    """
    meta = model._meta  # noqa: SLF001 - Django's public name for it
    heard = [
        field.name
        for field in meta.concrete_fields
        if not field.primary_key and field.name not in quiet
    ]
    pghistory.track(
        *(_tracker(act, heard) for act in acts),
        exclude=sorted({*without, *quiet}),
        model_name=f"{model.__name__}History",
        app_label=app,
        meta={"db_table": f"{meta.db_table}_history", "default_permissions": ()},
    )(model)


def _tracker(act: str, heard: list[str]) -> pghistory.RowEvent:
    match act:
        case "insert":
            return pghistory.InsertEvent()
        case "update":
            return pghistory.UpdateEvent(condition=pgtrigger.AnyChange(*heard))
        case "delete":
            return pghistory.DeleteEvent()
        case _:
            raise ValueError(f"nothing is called {act}: insert, update or delete a row")
