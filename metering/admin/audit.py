# ruff: noqa: SLF001 - `_meta` and `_default_manager` are public names of Django
"""The latest changes of all tables that can move money, on one page."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from config.roles import SEE_HISTORY
from metering.admin.figures import instant, listing
from metering.admin.history import act_of, by, histories, how, preceded, with_changes
from metering.admin.tables import Section, text

OF_EACH = 20
SHOWN = 100


def latest_changes() -> Section:
    """The latest changes, whichever table they are of: the newest of each, merged by time."""
    found = []
    for tracked, history in histories().items():
        rows = preceded(history, history._default_manager.order_by("-pgh_id"))[:OF_EACH]
        found += [(row, tracked, changes) for row, changes in with_changes(rows)]
    found.sort(key=lambda one: one[0].pgh_created_at, reverse=True)
    return Section(
        "Latest changes",
        text("when", "what", "of", "by", "how, and why", "change"),
        [
            (
                instant(row.pgh_created_at, seconds=True),
                act_of(row),
                f"{tracked._meta.verbose_name} {row.pgh_obj_id}",
                by(row),
                how(row),
                changes,
            )
            for row, tracked, changes in found[:SHOWN]
        ],
        note=f"The last {OF_EACH} of each table at most; each table's own history has them all.",
        empty="Nothing has been recorded yet.",
    )


def by_table() -> Section:
    """Where each table's own history is."""
    return Section(
        "Histories",
        text("of", "table"),
        [
            (
                listing(
                    f"{history._meta.app_label}_{history._meta.model_name}",
                    tracked._meta.verbose_name_plural,
                ),
                tracked._meta.db_table,
            )
            for tracked, history in sorted(
                histories().items(), key=lambda one: str(one[0]._meta.verbose_name_plural)
            )
        ],
    )


def audit_page(request: HttpRequest) -> HttpResponse:
    """For whoever may see histories."""
    if not request.user.has_perm(SEE_HISTORY):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Who changed what",
        "sections": [latest_changes(), by_table()],
        "back": reverse("admin:index"),
    }
    return TemplateResponse(request, "metering/admin/listing.html", context)
