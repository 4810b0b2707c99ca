"""Allocation runs: what was divided, how, and what everyone bears, to read."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.models import AllocationBill, AllocationRun, AllocationSettlement
from metering.api.finance_access import FinanceView
from metering.api.paging import PageParameters, page_of, page_of_rows
from metering.api.reading import MonthField, answer, described
from metering.api.values import Day, Exact, Instant, Text, Whole, money

RUN: Final = {"run": "the run's `id`"}


class RunParameters(PageParameters):
    """Which runs."""

    period = MonthField(required=False, help_text="of this UTC month, like 2026-10")
    state = serializers.ChoiceField(
        required=False, choices=list(AllocationRun.State.values), help_text="in this state"
    )


class OwnedParameters(PageParameters):
    """Whose part."""

    cost_centre = serializers.CharField(
        required=False, max_length=200, help_text="borne by this cost centre"
    )
    tenant = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="for this tenant; empty: for none",
    )


class RunSerializer(serializers.Serializer[Any]):
    """One division of a month's bills, by one rule, from known inputs. Of a month only one run is
    not superseded."""

    id = Whole("the run", 5)
    period = Text("the UTC month", "2026-10")
    number = Whole("counts those of the month, from 1", 1)
    state = Text("draft, approved, closed or superseded", "approved")
    author = Text("who made it; empty: the program", "analyst")
    rule = Text("the rule it follows", "standard")
    rule_version = Whole("its version", 1)
    created_at = Instant("when", "2026-11-02T08:20:00Z")
    approved_by = Text("who agreed with it", "controller", null=True)
    approved_at = Instant("when", "2026-11-02T09:00:00Z", null=True)
    usage_digest = Text("SHA-256 over what it read of usage", "88fa…")
    inputs_digest = Text("SHA-256 over usage, bills, rule and drivers", "7d01…")
    digest = Text("SHA-256 over every line and settlement", "c0de…")


class DividedBillSerializer(serializers.Serializer[Any]):
    """A bill as it was divided."""

    bill = Whole("the bill", 4)
    provider = Text("who sent it", "openai")
    currency = Text("ISO 4217", "USD")
    exact = Exact("its lines' exact sum", "4711.033125")
    payable = Exact("what it is payable for", "4711.03")
    payable_minor = Whole("the same in minor units", 471_103)


class RunWithBillsSerializer(RunSerializer):
    """A run with the bills it divided."""

    bills = DividedBillSerializer(many=True, read_only=True)


class LineSerializer(serializers.Serializer[Any]):
    """One owner's part of one amount. Direct lines stand in a cell (`day` and what follows it);
    lines of a pool know the provider only. The line of a bill's own rounding has no owner."""

    number = Whole("place in the run, from 1", 812)
    bill = Whole("the bill", 4)
    currency = Text("ISO 4217", "USD")
    provider = Text("the provider", "openai")
    project = Text("the provider's project", "")
    day = Day("UTC; null: of a pool", "2026-10-03", null=True)
    model = Text("the executed model; empty: of a pool", "gpt-4o")
    token_class = Text("class of token, or unit", "input")
    tier = Text("standard, batch, …", "standard")
    pool = Text("the pool", "direct usage")
    strategy = Text("direct, activity_based, weighted, …", "direct")
    cost_centre = Text("who bears it", "cc-growth")
    tenant = Text("for whom; empty: nobody", "acme")
    driver_key = Text("the model or endpoint a weight was used for", "")
    basis = Text("what it was divided by", "metered cost")
    basis_value = Exact("the owner's measure; null: none", "10", null=True)
    basis_total = Exact("everyone's measure; null: none", "15", null=True)
    weight = Exact("times the measure; null: none", None, null=True)
    amount = Exact("the exact part", "10")
    rounding_units = Whole("of it, units of the last decimal that came by largest remainder", 0)


class SettlementSerializer(serializers.Serializer[Any]):
    """What one owner bears of one bill: the exact sum of its lines, and the money made of it."""

    bill = Whole("the bill", 4)
    currency = Text("ISO 4217", "USD")
    cost_centre = Text("who bears it", "cc-growth")
    tenant = Text("for whom; empty: nobody", "acme")
    exact = Exact("the lines' exact sum", "10.0666…")
    amount = Text("what is borne, with the currency's decimals", "10.07")
    amount_minor = Whole("the same in minor units", 1007)
    rounding_units = Whole("minor units that came by largest remainder", 0)


class RunsView(FinanceView):
    permission = "allocation.view_allocationrun"
    parameters = RunParameters

    @described(
        "finance_runs",
        "Allocation runs",
        "The latest first, in pages.",
        page_of(RunSerializer),
        parameters=RunParameters,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        rows = runs()
        if "period" in asked:
            rows = rows.filter(month=asked["period"])
        if "state" in asked:
            rows = rows.filter(state=asked["state"])
        page = page_of_rows(rows, asked, downwards=True)
        items = [run_value(row) for row in page.items]
        return answer(page_of(RunSerializer), page._replace(items=items))


class RunView(FinanceView):
    permission = "allocation.view_allocationrun"

    @described(
        "finance_run",
        "A run with its bills",
        "Its lines and settlements are in pages.",
        RunWithBillsSerializer,
        path=RUN,
    )
    def get(self, request: Request, run: int) -> Response:
        self.asked(request)
        row = _the_run(run)
        bills = [_bill(bill) for bill in row.bills.order_by("bill_id", "currency")]
        return answer(RunWithBillsSerializer, {**run_value(row), "bills": bills})


class LinesView(FinanceView):
    permission = "allocation.view_allocationline"
    parameters = OwnedParameters

    @described(
        "finance_run_lines",
        "A run's lines",
        "In canonical order, in pages; of one owner, if asked.",
        page_of(LineSerializer),
        parameters=OwnedParameters,
        path=RUN,
    )
    def get(self, request: Request, run: int) -> Response:
        asked = self.asked(request)
        rows = _the_run(run).lines.filter(**_owner(asked))
        page = page_of_rows(rows, asked, by="number")
        for row in page.items:
            row.bill = row.bill_id
        return answer(page_of(LineSerializer), page)


class SettlementsView(FinanceView):
    permission = "allocation.view_allocationsettlement"
    parameters = OwnedParameters

    @described(
        "finance_run_settlements",
        "What owners bear in a run",
        "By bill and owner, in pages; of one owner, if asked.",
        page_of(SettlementSerializer),
        parameters=OwnedParameters,
        path=RUN,
    )
    def get(self, request: Request, run: int) -> Response:
        asked = self.asked(request)
        page = page_of_rows(_the_run(run).settlements.filter(**_owner(asked)), asked)
        items = [_settlement(row) for row in page.items]
        return answer(page_of(SettlementSerializer), page._replace(items=items))


class RunsToApproveView(FinanceView):
    permission = "allocation.view_allocationrun"
    parameters = PageParameters

    @described(
        "finance_approvals_runs",
        "Runs that wait for approval",
        "Drafts, the latest first, in pages. A person other than the author approves them, in the"
        " admin or by command; a key never does.",
        page_of(RunSerializer),
        parameters=PageParameters,
    )
    def get(self, request: Request) -> Response:
        drafts = runs().filter(state=AllocationRun.State.DRAFT)
        page = page_of_rows(drafts, self.asked(request), downwards=True)
        items = [run_value(row) for row in page.items]
        return answer(page_of(RunSerializer), page._replace(items=items))


def runs() -> QuerySet[AllocationRun]:
    return AllocationRun.objects.select_related("rule_version", "approval")


def run_value(row: AllocationRun) -> dict[str, Any]:
    approved = row.approval if hasattr(row, "approval") else None
    return {
        "id": row.pk,
        "period": row.month,
        "number": row.number,
        "state": row.state,
        "author": row.author,
        "rule": row.rule_version.rule_id,
        "rule_version": row.rule_version.number,
        "created_at": row.created_at,
        "approved_by": approved and approved.approved_by,
        "approved_at": approved and approved.approved_at,
        "usage_digest": row.usage_digest,
        "inputs_digest": row.inputs_digest,
        "digest": row.outputs_digest,
    }


def _the_run(run: int) -> AllocationRun:
    found = runs().filter(pk=run).first()
    if found is None:
        raise NotFound(f"there is no allocation run {run}; the list of runs has those there are")
    return found


def _owner(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: asked[name] for name in ("cost_centre", "tenant") if name in asked}


def _bill(row: AllocationBill) -> dict[str, Any]:
    return {
        "bill": row.bill_id,
        "provider": row.provider,
        "currency": row.currency,
        "exact": row.exact,
        "payable": row.payable,
        "payable_minor": row.payable_minor,
    }


def _settlement(row: AllocationSettlement) -> dict[str, Any]:
    return {
        "bill": row.bill_id,
        "currency": row.currency,
        "cost_centre": row.cost_centre,
        "tenant": row.tenant,
        "exact": row.exact,
        "amount": money(row.amount_minor, row.currency),
        "amount_minor": row.amount_minor,
        "rounding_units": row.rounding_units,
    }
