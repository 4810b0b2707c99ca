"""Allocation runs: what was divided, who bears it, and the second person's approval."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from allocation import period_close
from allocation.admin.preparing import allocating
from allocation.models import AllocationRun
from config.roles import APPROVE_RUN, RUN_ALLOCATION
from metering.admin.acts import Act, action, perform
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import (
    NOTHING,
    digest,
    exact,
    figure,
    instant,
    label,
    link,
    minor,
    money,
)
from metering.admin.tables import Link, Section, figures, text
from metering.admin.urls import list_url
from metering.domain.money import EXACT
from metering.people import NotAllowed


@admin.register(AllocationRun)
class AllocationRunAdmin(ReadOnlyAdmin):
    list_display = ("month", "number", "shown_state", "rule", "author", "made", "result")
    list_filter = ("month", "state")
    list_select_related = ("rule_version",)
    ordering = ("-month", "-number")
    fields = (
        ("month", "shown_state"),
        ("number", "rule"),
        ("prepared", "approved"),
        ("inputs", "result"),
    )
    readonly_fields = ("shown_state", "rule", "prepared", "approved", "inputs", "result", "made")
    actions_detail = ("approve",)
    actions_list = ("allocate",)

    def sections(self, request: HttpRequest, row: AllocationRun) -> Sequence[Section]:  # noqa: ARG002
        return [bills_of(row), owners_of(row), pools_of(row)]

    def has_allocate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:  # noqa: ARG002
        return request.user.has_perm(RUN_ALLOCATION)

    @action(
        description="Allocate a month",
        url_path="allocate",
        permissions=["allocate"],
        icon="call_split",
    )
    def allocate(self, request: HttpRequest) -> HttpResponse:
        return perform(self, request, allocating(request))

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may approve runs, of a run that is a draft."""
        if not request.user.has_perm(APPROVE_RUN):
            return False
        drafts = AllocationRun.objects.filter(state=AllocationRun.State.DRAFT)
        return object_id is None or drafts.filter(pk=object_id).exists()

    @action(
        description="Approve",
        url_path="approve",
        permissions=["approve"],
        icon="verified",
    )
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = AllocationRun.objects.select_related("rule_version").get(pk=object_id)
        person = request.user.get_username()

        def do(_: dict[str, Any]) -> str:
            period_close.approve(run, by=person, now=timezone.now())
            return f"Run {run.number} of {run.month} is approved; its statements are issued."

        return perform(
            self,
            request,
            Act(
                title=f"Approve run {run.number} of {run.month}",
                note=f"Made by {run.author or 'the program'}. You approve it as {person}, and the "
                "statements of all cost centres are issued with it.",
                button="Approve the run",
                do=do,
                refusals=(period_close.CloseRefused, NotAllowed),
                back=reverse("admin:allocation_allocationrun_change", args=[run.pk]),
                sections=[bills_of(run), owners_of(run)],
            ),
        )

    @shown("state", order="state")
    def shown_state(self, row: AllocationRun) -> SafeString:
        return label(row.state)

    @shown("rule")
    def rule(self, row: AllocationRun) -> SafeString | str:
        return link("allocation_ruleversion", row.rule_version_id, row.rule_version)

    @shown("made", order="created_at")
    def made(self, row: AllocationRun) -> SafeString:
        return instant(row.created_at)

    @shown("prepared")
    def prepared(self, row: AllocationRun) -> SafeString:
        return signature(row.author or "the program", row.created_at)

    @shown("approved")
    def approved(self, row: AllocationRun) -> SafeString | str:
        approval = getattr(row, "approval", None)
        if approval is None:
            return "not yet"
        return signature(approval.approved_by, approval.approved_at)

    @shown("digest of what it was made from")
    def inputs(self, row: AllocationRun) -> SafeString:
        return digest(row.inputs_digest)

    @shown("digest of its lines")
    def result(self, row: AllocationRun) -> SafeString:
        return digest(row.outputs_digest)


def signature(person: str, at: Any) -> SafeString:
    """Who, and when."""
    return format_html("{}, {}", person, instant(at))


def bills_of(run: AllocationRun) -> Section:
    """What was divided."""
    return Section(
        "Bills divided",
        [*text("provider", "bill"), *figures("sum of lines", "payable")],
        [
            (
                bill.provider,
                link("allocation_providerbill", bill.bill_id, f"bill {bill.bill_id}"),
                exact(bill.exact, bill.currency),
                money(bill.payable, bill.currency),
            )
            for bill in run.bills.order_by("provider", "bill_id")
        ],
    )


def owners_of(run: AllocationRun) -> Section:
    """Who bears it: per cost centre, all of it."""
    borne = list(
        run.settlements.values("cost_centre", "currency")
        .annotate(exact=Sum("exact"), minor=Sum("amount_minor"), tenants=Count("tenant"))
        .order_by("currency", "-minor")
    )
    whole: dict[str, int] = {}
    for each in borne:
        whole[each["currency"]] = whole.get(each["currency"], 0) + each["minor"]
    return Section(
        "Who bears it",
        [*text("cost centre"), *figures("exact", "settled", "share")],
        [
            (
                link("metering_costcentre", each["cost_centre"], each["cost_centre"]),
                exact(each["exact"], each["currency"]),
                minor(each["minor"], each["currency"]),
                _share(each["minor"], whole[each["currency"]]),
            )
            for each in borne
        ],
        note="Settled amounts add up to the payable bills: every minor unit has one owner.",
        totals=("total", "", *(_joined(whole)), ""),
        links=[
            Link("statements", list_url("allocation_statement", run=run.pk)),
            Link("all lines", list_url("allocation_allocationline", run=run.pk)),
        ],
    )


def _joined(whole: dict[str, int]) -> tuple[SafeString]:
    return (SafeString("".join(minor(amount, currency) for currency, amount in whole.items())),)


def _share(part: int, whole: int) -> SafeString:
    if not whole:
        return NOTHING
    ratio = EXACT.divide(Decimal(100 * part), Decimal(whole)).quantize(Decimal("0.1"))
    return SafeString(f'<span class="figure">{ratio}\N{NARROW NO-BREAK SPACE}%</span>')


def pools_of(run: AllocationRun) -> Section:
    """What became of the bills' lines."""
    return Section(
        "Pools",
        [*text("pool"), *figures("bill lines", "amount")],
        [
            (
                each["pool"],
                figure(each["lines"]),
                exact(each["amount"], each["currency"]),
            )
            for each in run.sources.values("pool", "currency")
            .annotate(lines=Count("pk"), amount=Sum("amount"))
            .order_by("currency", "-amount")
        ],
        links=[
            Link("bill lines by pool", list_url("allocation_allocationsource", run=run.pk)),
            Link(
                "lines that rounding moved",
                list_url("allocation_allocationline", run=run.pk, rounding_units__in="-1,1"),
            ),
        ],
    )
