"""How a month's bills differ from its metering, and why, to read."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.domain.variances import CAUSES
from allocation.models import Reconciliation, ReconciliationEvidence
from allocation.reconciliation import results_of, totals_of
from metering.api.finance_access import FinanceView
from metering.api.paging import PageParameters, page_of, page_of_rows
from metering.api.reading import MonthField, answer, described
from metering.api.values import Anything, Day, Exact, Instant, Text, Whole

RECONCILIATION: Final = {"reconciliation": "the reconciliation's `id`"}


class ReconciliationParameters(PageParameters):
    """Which reconciliations."""

    period = MonthField(required=False, help_text="of this UTC month, like 2026-10")


class CellParameters(PageParameters):
    """Which cells."""

    provider = serializers.CharField(required=False, max_length=100, help_text="of this provider")
    cause = serializers.ChoiceField(
        required=False, choices=["matched", *CAUSES], help_text="of this cause, or `matched`"
    )


class ReconciliationSummarySerializer(serializers.Serializer[Any]):
    """A comparison of a month's bills with its metering. The same inputs give the same one."""

    id = Whole("the reconciliation", 3)
    period = Text("the UTC month", "2026-10")
    number = Whole("counts those of the month, from 1; the highest is the latest", 2)
    reconciled_at = Instant("when", "2026-11-02T08:10:00Z")
    inputs_digest = Text("SHA-256 over every bill line and metered cell", "0e4d…")
    digest = Text("SHA-256 over every step and its evidence", "b1a2…")


class StepSerializer(serializers.Serializer[Any]):
    """One cause of a difference."""

    cause = Text("what it is", "price_difference")
    amount = Exact("signed: what it adds to metered cost on the way to the bill", "-1.25")


class _WaterfallSerializer(serializers.Serializer[Any]):
    currency = Text("ISO 4217; empty where nothing had a price", "USD")
    metered = Exact("what the metered usage should cost", "4712.283125")
    matched = Exact("of it, what the bill confirms", "4690.1")
    bill = Exact("what the provider billed; null: no bill", "4711.033125", null=True)
    steps = StepSerializer(
        many=True, read_only=True, help_text="metered plus all steps is the bill, exactly"
    )


class CurrencyTotalSerializer(_WaterfallSerializer):
    """The billed providers together, by currency; nothing is converted."""


class ProviderWaterfallSerializer(_WaterfallSerializer):
    """One provider's way from metered cost to bill."""

    provider = Text("the provider", "openai")
    unpriced_quantity = Exact("tokens and units without a known price", "0")
    rounding_mean = Exact("mean rounding a cell; null: none", "0.0000005", null=True)
    unexplained_owner = Text("who answers for what stays unexplained", "head of platform")


class ReconciliationSerializer(ReconciliationSummarySerializer):
    """A month's waterfalls."""

    totals = CurrencyTotalSerializer(many=True, read_only=True)
    providers = ProviderWaterfallSerializer(many=True, read_only=True)


class CellSerializer(serializers.Serializer[Any]):
    """What one group of bill lines and metered cells contributes to one cause (or is `matched`).
    What its members do not share is empty."""

    provider = Text("the provider", "openai")
    currency = Text("ISO 4217", "USD")
    number = Whole("place among the provider's, from 1", 17)
    cause = Text("the cause, or `matched`", "price_difference")
    amount = Exact("signed contribution", "-0.05")
    project = Text("the provider's project", "")
    day = Day("UTC", "2026-10-03")
    model = Text("the executed model", "gpt-4o")
    token_class = Text("class of token, or unit", "input")
    tier = Text("standard, batch, …", "standard")
    matching = Text("how bill lines and cells were brought together", "cell")
    billed = Exact("what was billed for the group", "9.95")
    metered = Exact("what it should have cost", "10")
    billed_quantity = Exact("how much the bill says; null: it does not", "4000000", null=True)
    metered_quantity = Exact("how much was metered", "4000000")
    quantity = Exact("the quantity that the cause is about", "4000000", null=True)
    bill_lines = Anything("[bill, line number] of each line", [[4, 12]])
    note = Text("in words", "")


class ReconciliationsView(FinanceView):
    permission = "allocation.view_reconciliation"
    parameters = ReconciliationParameters

    @described(
        "finance_reconciliations",
        "Reconciliations",
        "The latest first, in pages.",
        page_of(ReconciliationSummarySerializer),
        parameters=ReconciliationParameters,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        rows = Reconciliation.objects.all()
        if "period" in asked:
            rows = rows.filter(month=asked["period"])
        page = page_of_rows(rows, asked, downwards=True)
        items = [_head(row) for row in page.items]
        return answer(page_of(ReconciliationSummarySerializer), page._replace(items=items))


class ReconciliationView(FinanceView):
    permission = "allocation.view_reconciliation"

    @described(
        "finance_reconciliation",
        "A reconciliation's waterfalls",
        "From metered cost to bill, cause by cause: for each provider, and for all of a currency.",
        ReconciliationSerializer,
        path=RECONCILIATION,
    )
    def get(self, request: Request, reconciliation: int) -> Response:
        self.asked(request)
        row = _the_reconciliation(reconciliation)
        results = results_of(row, with_evidence=False)
        value = {
            **_head(row),
            "totals": [{**t._asdict(), "steps": _steps(t.steps)} for t in totals_of(results)],
            "providers": [{**r._asdict(), "steps": _steps(r.steps)} for r in results],
        }
        return answer(ReconciliationSerializer, value)


class CellsView(FinanceView):
    permission = "allocation.view_reconciliationevidence"
    parameters = CellParameters

    @described(
        "finance_reconciliation_cells",
        "The cells under a waterfall",
        "By provider and number, in pages; of one provider or cause, if asked.",
        page_of(CellSerializer),
        parameters=CellParameters,
        path=RECONCILIATION,
    )
    def get(self, request: Request, reconciliation: int) -> Response:
        asked = self.asked(request)
        rows = ReconciliationEvidence.objects.filter(
            result__reconciliation=_the_reconciliation(reconciliation)
        ).select_related("result")
        if "provider" in asked:
            rows = rows.filter(result__provider=asked["provider"])
        if "cause" in asked:
            rows = rows.filter(cause=asked["cause"])
        page = page_of_rows(rows, asked)
        for row in page.items:
            row.provider, row.currency = row.result.provider, row.result.currency
        return answer(page_of(CellSerializer), page)


def _the_reconciliation(reconciliation: int) -> Reconciliation:
    found = Reconciliation.objects.filter(pk=reconciliation).first()
    if found is None:
        raise NotFound(f"there is no reconciliation {reconciliation}; the list has those there are")
    return found


def _head(row: Reconciliation) -> dict[str, Any]:
    return {
        "id": row.pk,
        "period": row.month,
        "number": row.number,
        "reconciled_at": row.reconciled_at,
        "inputs_digest": row.inputs_digest,
        "digest": row.outputs_digest,
    }


def _steps(steps: Any) -> list[dict[str, Any]]:
    return [{"cause": cause, "amount": amount} for cause, amount in steps]
