"""Checks of recorded rows: what stands in a table against the last that its history tells.

A history is written by triggers, and the application can only add to it. A row that was changed
or taken away with the triggers off is therefore another one than its history says, in columns too
that no digest covers: who signed, and when; whose a mapping is; how long a price holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from django.apps import apps
from pghistory.models import Event

from metering.verification.findings import Finding, rows


class Change(NamedTuple):
    """A row that is not what its history says: its key, and the columns as recorded and as they
    stand (`None`: NULL)."""

    key: Any
    columns: tuple[tuple[str, str | None, str | None], ...]

    @property
    def what(self) -> str:
        return "; ".join(
            f"{name} is {'nothing' if now is None else now}, its history says"
            f" {'nothing' if was is None else was}"
            for name, was, now in self.columns
        )


class _Table(NamedTuple):
    name: str
    key: str
    columns: list[str]

    def row(self, key: object) -> str:
        return f"{self.name.replace('_', ' ')} {key}"


def check(*, named_elsewhere: Collection[str] = ()) -> Iterator[Finding]:
    """Recorded rows of all tables, whatever month they are of: those that are not what their
    history says (but for tables whose changes another check names), and those that are gone though
    no history tells of it."""
    for table in _recorded():
        if table.name not in named_elsewhere:
            for change in _changed(table, "true", {}):
                yield Finding("recorded row", table.row(change.key), change.what)
        for key, at in _gone(table):
            yield Finding(
                "recorded row",
                table.row(key),
                f"is gone; its history, last of {at}, says it is there",
            )


def changed(table: str, condition: str = "true", **parameters: Any) -> Iterator[Change]:
    """The rows of a table that meet the condition (on `t`, and the newest row `h` of its history)
    and differ from that, by key. Rows from before there was a history have none to differ from."""
    (of_table,) = (known for known in _recorded() if known.name == table)
    yield from _changed(of_table, condition, parameters)


def _recorded() -> list[_Table]:
    found = []
    for history in apps.get_models():
        if not issubclass(history, Event) or history._meta.proxy:  # noqa: SLF001 - Django's public name
            continue
        tracked: Any = history.pgh_tracked_model
        of = tracked._meta.concrete_model._meta  # noqa: SLF001
        kept = {field.column for field in history._meta.concrete_fields}  # noqa: SLF001
        columns = sorted(f.column for f in of.concrete_fields if f.column in kept)
        found.append(_Table(of.db_table, of.pk.column, columns))
    return sorted(found)


def _changed(table: _Table, condition: str, parameters: dict[str, Any]) -> Iterator[Change]:
    now = ", ".join(f't."{name}"::text' for name in table.columns)
    was = ", ".join(f'h."{name}"::text' for name in table.columns)
    for key, stands, recorded in rows(
        f"SELECT t.{table.key}, ARRAY[{now}], ARRAY[{was}] FROM {table.name} t JOIN LATERAL ("
        f" SELECT * FROM {table.name}_history told WHERE told.pgh_obj_id = t.{table.key}"
        "  ORDER BY pgh_id DESC LIMIT 1) h ON true"
        f" WHERE ({condition}) AND ARRAY[{now}] IS DISTINCT FROM ARRAY[{was}]"
        f" ORDER BY t.{table.key}",
        parameters,
    ):
        yield Change(
            key,
            tuple(
                (name, before, after)
                for name, before, after in zip(table.columns, recorded, stands, strict=True)
                if before != after
            ),
        )


def _gone(table: _Table) -> Iterator[tuple[Any, Any]]:
    return rows(
        "SELECT pgh_obj_id, pgh_created_at FROM (SELECT DISTINCT ON (pgh_obj_id) pgh_obj_id,"
        f" pgh_label, pgh_created_at FROM {table.name}_history ORDER BY pgh_obj_id, pgh_id DESC) h"
        " WHERE pgh_label <> 'delete' AND NOT EXISTS"
        f" (SELECT FROM {table.name} t WHERE t.{table.key} = h.pgh_obj_id) ORDER BY 1",
        {},
    )
