# ruff: noqa: SLF001 - `_meta` and `_default_manager` are public names of Django
"""Who changed what, when and why: the histories that triggers write, table by table.

A row of a history is its row as it was after an insert or update, or before a delete; what a
change changed is found against the row before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from django.contrib import admin
from django.db.models import Model, OuterRef, Subquery
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from pghistory.core import event_models

from config.roles import SEE_HISTORY
from metering.admin.bases import BENEATH, BoundedList, ReadOnlyAdmin, shown
from metering.admin.figures import NOTHING, instant, label, link
from metering.admin.tables import Link, Section, Text, text
from metering.admin.urls import list_url

SHOWN: Final = 20
"""Changes that a row's own page shows; the rest are in the list."""

_ACTS: Final = {
    "insert": ("in", "added"),
    "update": ("open", "changed"),
    "delete": ("failed", "deleted"),
}
_LONGEST: Final = 120

History = Any
"""A row of a model that django-pghistory made: each has the fields of what it tracks."""


def histories() -> dict[type[Model], type[Model]]:
    """The history of each tracked model, by the model whose table it is."""
    found: dict[type[Model], type[Model]] = {}
    for history in event_models():
        tracked: type[Model] = history.pgh_tracked_model._meta.concrete_model  # type: ignore[attr-defined]
        found[tracked] = history
    return found


def with_changes(rows: Iterable[History]) -> list[tuple[History, SafeString]]:
    """Each row with what it changed, in words."""
    found = list(rows)
    history = type(found[0]) if found else None
    if history is None:
        return []
    before = history.objects.in_bulk({row.before for row in found if row.before is not None})
    return [(row, _changes(row, before.get(row.before))) for row in found]


def preceded(history: type[Model], rows: Any) -> Any:
    """The rows, each with the key of the history's row before it, of the same object."""
    earlier = history._default_manager.filter(
        pgh_obj_id=OuterRef("pgh_obj_id"), pgh_id__lt=OuterRef("pgh_id")
    ).order_by("-pgh_id")
    return rows.annotate(before=Subquery(earlier.values("pgh_id")[:1]))


def history_of(request: HttpRequest, row: Model) -> Section | None:
    """The latest changes of one row; `None` where its table has no history, and for whoever may
    not see it."""
    if not request.user.has_perm(SEE_HISTORY):
        return None
    history = histories().get(type(row)._meta.concrete_model)  # type: ignore[arg-type]
    if history is None:
        return None
    own = history._default_manager.filter(pgh_obj_id=row.pk).order_by("-pgh_id")
    name = f"{history._meta.app_label}_{history._meta.model_name}"
    return Section(
        "History",
        text("when", "what", "by", "how", "change"),
        [
            (instant(each.pgh_created_at, seconds=True), act_of(each), by(each), how(each), changes)
            for each, changes in with_changes(preceded(history, own)[:SHOWN])
        ],
        links=[Link("all changes", list_url(name, pgh_obj=row.pk))],
        empty="Nothing was recorded of it: it is older than its history.",
    )


def act_of(row: History) -> SafeString:
    return label(*_ACTS.get(row.pgh_label, ("none", row.pgh_label)))


def by(row: History) -> str:
    """The person or key that acted; without a context somebody wrote by SQL."""
    if row.pgh_context is None:
        return "somebody, by SQL"
    context: Mapping[str, Any] = row.pgh_context
    said = context.get("by") or context.get("api_key") or context.get("account")
    return str(said or "the program")


def how(row: History) -> Text:
    """By which command, page or task, and why, if anybody said."""
    context: Mapping[str, Any] = row.pgh_context or {}
    way = context.get("command") or context.get("url") or context.get("task") or ""
    reason = context.get("reason")
    return format_html("{}<br>{}", way, f"“{reason}”") if reason else str(way)


def _fields(row: History) -> dict[str, Any]:
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.name.startswith("pgh_")
    }


def _changes(row: History, before: History | None) -> SafeString:
    after = _fields(row)
    if row.pgh_label != "update" or before is None:
        shown_fields = [(name, _short(value)) for name, value in after.items() if value]
        return format_html_join("; ", "{} {}", shown_fields)
    earlier = _fields(before)
    changed = [
        (name, _short(earlier.get(name)), _short(value))
        for name, value in after.items()
        if earlier.get(name) != value
    ]
    return format_html_join("; ", "{}: {} → {}", changed)


def _short(value: Any) -> Text:
    match value:
        case None | "":
            return NOTHING
        case datetime():
            return instant(value)
        case date():
            return value.isoformat()
        case _:
            said = str(value)
            return said if len(said) <= _LONGEST else said[:_LONGEST] + "…"


class HistoryList(BoundedList):
    """Finds what each row of the page changed, in one query for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = with_changes(self.result_list)
        for row, changes in rows:
            row.changes = changes
        self.result_list = [row for row, _ in rows]


class HistoryAdmin(ReadOnlyAdmin):
    """One table's history. Who may see histories sees all of them."""

    list_display = ("when", "what", "of_which", "who", "way", "change")
    list_filter = ("pgh_label",)
    ordering = ("-pgh_id",)
    sortable_by = ()
    fields = (("when", "what"), ("of_which", "who"), "way")
    readonly_fields = ("when", "what", "of_which", "who", "way")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(SEE_HISTORY)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return request.user.has_perm(SEE_HISTORY)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedList]:  # noqa: ARG002
        return HistoryList

    def get_queryset(self, request: HttpRequest) -> Any:
        return preceded(self.model, super().get_queryset(request))

    def sections(self, request: HttpRequest, row: History) -> Sequence[Section]:  # noqa: ARG002
        return [
            Section(
                "The row, as it was then",
                text("field", "value"),
                [(name.replace("_", " "), _short(value)) for name, value in _fields(row).items()],
            )
        ]

    @shown("when")
    def when(self, row: History) -> SafeString:
        return instant(row.pgh_created_at, seconds=True)

    @shown("what")
    def what(self, row: History) -> SafeString:
        return act_of(row)

    @shown("of")
    def of_which(self, row: History) -> SafeString | str:
        tracked = type(row).pgh_tracked_model._meta.concrete_model._meta
        return link(f"{tracked.app_label}_{tracked.model_name}", row.pgh_obj_id, row.pgh_obj_id)

    @shown("by")
    def who(self, row: History) -> str:
        return by(row)

    @shown("how, and why")
    def way(self, row: History) -> Text:
        return how(row)

    @shown("change")
    def change(self, row: History) -> Text:
        return getattr(row, "changes", NOTHING)


for _tracked, _history in histories().items():
    _history._meta.verbose_name_plural = f"history of {_tracked._meta.verbose_name_plural}"
BENEATH.append(history_of)
admin.site.register(list(event_models()), HistoryAdmin)
