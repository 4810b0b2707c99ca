"""The close of a month as a page: the four questions asked now, and the act itself."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from allocation import period_close
from allocation.closed_months import close_of
from allocation.domain.readiness import QUESTIONS, Readiness
from config.roles import CLOSE_PERIOD
from metering.admin.acts import Act, perform, reason_field
from metering.admin.bases import ModelAdmin
from metering.admin.figures import label
from metering.admin.tables import Section, text
from metering.domain.periods import InvalidPeriod, Month
from metering.people import NotAllowed


class CloseForm(Form):
    """A difference beyond the tolerance is accepted by a person, for a reason, or not at all."""

    accept_unexplained = reason_field(
        "Why an unexplained difference is accepted",
        "only where it is beyond the tolerance; the reason stays on record with the close",
        required=False,
    )


class ReopenForm(Form):
    """Whoever reopens a month says why."""

    reason = reason_field("Why the month is reopened", "it stays on record", required=True)


def check_page(model_admin: ModelAdmin, request: HttpRequest, month_name: str) -> HttpResponse:
    """The four questions, asked now; and for whoever may, the close."""
    try:
        month = Month.parse(month_name)
    except InvalidPeriod as error:
        raise Http404(str(error)) from error
    may_close = request.user.has_perm(CLOSE_PERIOD)
    if request.method == "POST" and not may_close:
        raise PermissionDenied
    person = request.user.get_username()

    def do(filled: dict[str, Any]) -> str:
        row = period_close.close(
            month,
            by=person,
            now=timezone.now(),
            accept_unexplained=filled["accept_unexplained"],
        )
        return f"{month} is closed by {row.closed_by}, on run {row.run.number}."

    closed = close_of(month)
    found = period_close.readiness(month, now=timezone.now())
    return perform(
        model_admin,
        request,
        Act(
            title=f"Closing {month}",
            note=_said(month, found) if closed is None else f"{month} is closed already.",
            button=f"Close {month}" if may_close and closed is None else "",
            do=do,
            refusals=(period_close.CloseRefused, NotAllowed),
            back=f"{reverse('admin:index')}?month={month}",
            form=CloseForm,
            sections=[answers(found)],
        ),
    )


def _said(month: Month, found: Readiness) -> str:
    if found.ready:
        return f"Everything is answered with yes: {month} can be closed."
    return f"{len(found.findings)} things stand in the way of closing {month}."


def answers(found: Readiness) -> Section:
    """The four answers, each with what it rests on or what is missing."""
    return Section(
        "Four questions",
        text("", "question", "what it rests on, or what is missing"),
        [
            (
                label("in", "yes") if answer.yes else label("failed", "no"),
                QUESTIONS[answer.question],
                _rests_on(
                    list(answer.facts),
                    [(finding.missing, finding.remedy) for finding in answer.findings],
                ),
            )
            for answer in found.answers
        ],
    )


def answered(stored: list[dict[str, Any]]) -> Section:
    """The four answers as a close put them on record."""
    return Section(
        "Four questions, as they were answered",
        text("", "question", "what it rested on"),
        [
            (
                label("in", "yes") if answer["yes"] else label("failed", "no"),
                answer["text"],
                _rests_on(answer["facts"], []),
            )
            for answer in stored
        ],
    )


def _rests_on(facts: list[str], findings: list[tuple[str, str]]) -> SafeString:
    return format_html(
        "{}{}",
        format_html_join("", "<p><strong>{}</strong><br>{}</p>", findings),
        format_html_join("", "<p>{}</p>", ((fact,) for fact in facts)),
    )
