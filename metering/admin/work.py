"""Work in progress: runs of several steps, their parts, and what a part waits for or failed of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import NOTHING, instant, label
from metering.admin.tables import Section, text
from metering.models import WorkPart, WorkRun

_COLOURS = {"open": "open", "done": "done", "ended": "superseded"}
_PARTS = {"waiting": "pending", "leased": "running", "done": "done", "failed": "failed"}


@admin.register(WorkRun)
class WorkRunAdmin(ReadOnlyAdmin):
    list_display = ("what", "subject", "shown_state", "step", "author", "started", "progressed")
    list_filter = ("state", "kind")
    search_fields = ("subject",)
    ordering = ("-id",)
    fields = (("what", "subject"), ("shown_state", "step"), ("author", "started"), "progressed")
    readonly_fields = ("what", "shown_state", "started", "progressed")

    def sections(self, request: HttpRequest, row: WorkRun) -> Sequence[Section]:  # noqa: ARG002
        parts = row.parts.defer("material", "result").order_by("id")[:500]
        return [
            Section(
                "Parts",
                text("step", "part", "state", "what it says", "attempts", "due", "finished"),
                [
                    (
                        part.step,
                        part.part or NOTHING,
                        label(_PARTS[part.state], part.state),
                        part.error or part.note,
                        str(part.attempts),
                        instant(part.due_at),
                        instant(part.finished_at),
                    )
                    for part in parts
                ],
            )
        ]

    @shown("what", order="kind")
    def what(self, row: WorkRun) -> str:
        return row.kind.replace("_", " ")

    @shown("state", order="state")
    def shown_state(self, row: WorkRun) -> SafeString:
        return label(_COLOURS[row.state], row.state)

    @shown("started", order="started_at")
    def started(self, row: WorkRun) -> SafeString:
        return instant(row.started_at)

    @shown("last progress", order="progressed_at")
    def progressed(self, row: WorkRun) -> SafeString:
        return instant(row.progressed_at)


@admin.register(WorkPart)
class WorkPartAdmin(ReadOnlyAdmin):
    list_display = ("run", "step", "part", "shown_state", "said", "attempts", "due")
    list_filter = ("state", "step")
    list_select_related = ("run",)
    ordering = ("-id",)
    fields = (("run", "step"), ("part", "shown_state"), ("attempts", "due"), "said", "finished")
    readonly_fields = ("shown_state", "said", "due", "finished")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("material", "result")

    @shown("state", order="state")
    def shown_state(self, row: WorkPart) -> SafeString:
        return label(_PARTS[row.state], row.state)

    @shown("what it says")
    def said(self, row: WorkPart) -> str:
        return row.error or row.note or ""

    @shown("due", order="due_at")
    def due(self, row: WorkPart) -> SafeString:
        return instant(row.due_at)

    @shown("finished", order="finished_at")
    def finished(self, row: WorkPart) -> SafeString:
        return instant(row.finished_at)
