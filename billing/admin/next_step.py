"""The next step of a month in words, and where it is taken."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from billing.month_standing import MonthStanding
from config.roles import APPROVE_INVOICE, APPROVE_RUN, CLOSE_PERIOD
from metering.admin.figures import day, month_name
from metering.admin.urls import list_url


@dataclass(frozen=True, slots=True)
class CallToAction:
    """What is to be done, why, and the button (`url`) or command that does it."""

    title: str
    why: str
    button: str = ""
    url: str = ""
    command: str = ""


def call_to_action(found: MonthStanding, request: HttpRequest) -> CallToAction:
    """The next step, as the person who asks may take it."""
    month, name = found.month, month_name(found.month)
    match found.next_step:
        case "usage":
            return CallToAction(
                "Bring usage in",
                f"No call of {name} has come in yet. Programs send with an API key; files are "
                "imported.",
                "API keys",
                reverse("admin:metering_apikey_changelist"),
                "manage.py import_usage FILE",
            )
        case "running":
            return CallToAction(
                f"{name} is under way",
                f"It can be closed from {day(month.next().first_day())} (UTC) on.",
                "See the events",
                reverse("admin:metering_usageevent_changelist"),
            )
        case "bills":
            return _bills(found)
        case "reconcile":
            return CallToAction(
                "Reconcile the bills",
                "All bills are in; their difference from what was metered is not explained yet.",
                command=f"manage.py reconcile {month}",
            )
        case "allocate":
            return CallToAction(
                "Allocate the bills",
                "The difference is explained; nobody bears the bills yet.",
                command=f"manage.py allocate {month} --as USER",
            )
        case _:
            return _signatures(found, request)


def _bills(found: MonthStanding) -> CallToAction:
    missing = found.allocation.missing
    named = ", ".join(missing) or "any provider"
    return CallToAction(
        f"Bring in the bill of {named}",
        "Calls of the month had a cost, and no bill says so."
        if missing
        else "There is no bill to allocate.",
        "Provider bills",
        list_url("allocation_providerbill", month=found.month),
        f"manage.py import_bill FILE --provider {missing[0] if missing else 'P'}",
    )


def _signatures(found: MonthStanding, request: HttpRequest) -> CallToAction:
    """What a person other than the one before has to agree with."""
    month, invoices, name = found.month, found.invoices, month_name(found.month)
    match found.next_step:
        case "approve_run":
            return _approval(found, request)
        case "close":
            button = "Check and close" if request.user.has_perm(CLOSE_PERIOD) else "Check"
            return CallToAction(
                f"Close {name}",
                "The run is approved and its statements are issued. Four questions are asked, "
                "then the month is shut.",
                button,
                reverse("admin:allocation_month_check", args=[str(month)]),
            )
        case "draft_invoices":
            return CallToAction(
                "Draft the invoices",
                f"{name} is closed; the cycles that end in it have no invoice yet.",
                command=f"manage.py run_invoices {month}",
            )
        case "approve_invoices":
            drafts = invoices.states["draft"]
            may = request.user.has_perm(APPROVE_INVOICE)
            return CallToAction(
                f"Approve {drafts} invoice{'s' if drafts != 1 else ''}",
                f"{name} is closed. The drafts wait for a person other than their author.",
                "Review the drafts" if may else "See the drafts",
                _invoices(found, "draft"),
            )
        case "push_invoices":
            return CallToAction(
                f"Send {invoices.states['approved']} approved invoices",
                "They are approved and not with the customers yet.",
                "See them",
                _invoices(found, "approved"),
                f"manage.py run_invoices {month} --push",
            )
        case _:
            return CallToAction(
                f"{name} is done", "Closed, allocated and invoiced: nothing is left to do."
            )


def _approval(found: MonthStanding, request: HttpRequest) -> CallToAction:
    standing = found.allocation.run
    if standing is None:
        raise ValueError("only a run that is there is approved")
    run = standing.run
    page = reverse("admin:allocation_allocationrun_change", args=[run.pk])
    own = run.author == request.user.get_username()
    if own or not request.user.has_perm(APPROVE_RUN):
        why = (
            "You made it, so another person approves it." if own else "An approver agrees with it."
        )
        return CallToAction(f"Have run {run.number} approved", why, "See the run", page)
    return CallToAction(
        f"Approve run {run.number}",
        f"Made by {run.author or 'the program'}: every cent of the bills has an owner. You agree "
        "with it as the second person.",
        "Review the run",
        page,
    )


def _invoices(found: MonthStanding, state: str) -> str:
    first, after = found.month.first_day(), found.month.next().first_day()
    return list_url(
        "billing_invoice",
        state=state,
        end_day__gt=first.isoformat(),
        end_day__lte=after.isoformat(),
    )
