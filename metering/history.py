"""Reading the histories: what happened to one thing, and everything that was done in a time.

The tables are `metering.recording`'s. A change tells who acted, by which way and why, what was
done to which row, and the fields that it changed, with the values before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from itertools import groupby
from typing import Any, Final

from django.apps import apps
from django.db import models
from pghistory.models import Event

_WAYS: Final = ("command", "url", "task")
NOBODY: Final = ""
"""Who changed what no command, request or task did: somebody by SQL."""


class NoHistory(ValueError):
    """Nothing of that name is recorded; the message lists what is."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row made, changed or deleted.

    `of` is the model as `app.model`, `key` the row's primary key. `by` is the person, the API key
    (`key:NAME`) or the account that called a command; `way` the command, URL or task. `fields` are
    those that differ from the row before: (before, after).
    """

    at: datetime
    of: str
    key: str
    act: str
    by: str
    way: str
    reason: str
    fields: Mapping[str, tuple[Any, Any]]


def history_of(row: models.Model) -> list[Change]:
    """Everything that was done to a row, oldest first; also to one that is deleted by now."""
    told: Any = row._meta.concrete_model  # noqa: SLF001 - Django's public name for it
    return list(_changes(_histories()[told._meta.label_lower], [row.pk]))  # noqa: SLF001


def changes(
    since: datetime, until: datetime, *, of: str | None = None, limit: int = 1_000
) -> list[Change]:
    """The newest changes from `since` until before `until`, newest first; `of` one model only
    (`app.model`, or the model's name where only one has it). Raises `NoHistory`."""
    found: list[Change] = []
    for model in _named(of):
        within = model.objects.filter(pgh_created_at__gte=since, pgh_created_at__lt=until)
        newest = within.order_by("-pgh_id").values_list("pgh_obj_id", flat=True)[:limit]
        found += (c for c in _changes(model, set(newest)) if since <= c.at < until)
    return nlargest(limit, found, key=lambda change: change.at)


def recorded() -> tuple[str, ...]:
    """What has a history, as `app.model`."""
    return tuple(sorted(_histories()))


def _histories() -> dict[str, Any]:
    return {
        _label(model): model
        for model in apps.get_models()
        if issubclass(model, Event) and not model._meta.proxy  # noqa: SLF001
    }


def _label(history: Any) -> str:
    """The model whose history it is, as `app.model`; for a proxy the model behind it."""
    label: str = history.pgh_tracked_model._meta.concrete_model._meta.label_lower  # noqa: SLF001
    return label


def _named(of: str | None) -> list[Any]:
    histories = _histories()
    if of is None:
        return [histories[name] for name in sorted(histories)]
    named = [m for name, m in histories.items() if of.lower() in (name, name.partition(".")[2])]
    if len(named) != 1:
        raise NoHistory(f"no history of {of!r}; there are: {', '.join(sorted(histories))}")
    return named


def _changes(model: Any, keys: Iterable[Any]) -> Iterator[Change]:
    label = _label(model)
    rows = model.objects.filter(pgh_obj_id__in=list(keys)).order_by("pgh_obj_id", "pgh_id")
    for key, told in groupby(rows.values(), key=lambda row: row["pgh_obj_id"]):
        before: dict[str, Any] = {}
        for row in told:
            said = {k: v for k, v in row.items() if not k.startswith("pgh_")}
            after = {} if row["pgh_label"] == "delete" else said
            context = row["pgh_context"] or {}
            yield Change(
                at=row["pgh_created_at"],
                of=label,
                key=str(key),
                act=row["pgh_label"],
                by=_who(context),
                way=next((str(context[way]) for way in _WAYS if context.get(way)), ""),
                reason=context.get("reason", ""),
                fields=_differences(before, after, started=row["pgh_label"] == "insert"),
            )
            before = said


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], *, started: bool
) -> dict[str, tuple[Any, Any]]:
    """Empty where what stood before is not known: the history began later than the row."""
    if not before and not started:
        return {}
    return {
        name: (before.get(name), after.get(name))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def _who(context: Mapping[str, Any]) -> str:
    if context.get("by"):
        return str(context["by"])
    if context.get("api_key"):
        return f"key:{context['api_key']}"
    return str(context.get("account") or NOBODY)
