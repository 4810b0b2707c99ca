"""Providers' bills and their lines, to read."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.models import ProviderBill
from metering.api.finance_access import FinanceView
from metering.api.paging import PageParameters, page_of, page_of_rows
from metering.api.reading import MonthField, answer, described
from metering.api.values import Day, Exact, Instant, Text, Whole

BILL: Final = {"bill": "the bill's `id`"}


class BillParameters(PageParameters):
    """Which bills."""

    period = MonthField(required=False, help_text="of this UTC month, like 2026-10")
    provider = serializers.CharField(required=False, max_length=100, help_text="of this provider")


class BillSerializer(serializers.Serializer[Any]):
    """What a provider charges an account for days of one UTC month."""

    id = Whole("the bill", 4)
    provider = Text("who sent it", "openai")
    account = Text("the provider's account; empty: none named", "")
    period = Text("the month it speaks for", "2026-10")
    first_day = Day("first UTC day it speaks for", "2026-10-01")
    last_day = Day("last UTC day it speaks for", "2026-10-31")
    format = Text("the format it came in", "openai-costs")
    currency = Text("ISO 4217", "USD")
    exact = Exact("the lines' exact sum", "4711.033125")
    payable = Exact("that sum as money", "4711.03")
    lines = Whole("how many lines it has", 620)
    lines_digest = Text("SHA-256 over every line", "1c9f…")
    document_sha256 = Text("SHA-256 of the bytes as they came", "77ab…")
    imported_at = Instant("when it was taken in", "2026-11-02T08:00:00Z")
    replaced_by = Whole("the bill that restates it; null: it counts", None, null=True)


class BillLineSerializer(serializers.Serializer[Any]):
    """One line of a bill, as the provider says it."""

    line_no = Whole("its number on the bill, from 1", 12)
    project = Text("the provider's project or workspace; empty: none named", "")
    day = Day("UTC", "2026-10-03")
    kind = Text("usage, fee, credit, tax or adjustment", "usage")
    model = Text("the model it names; empty: none", "gpt-4o")
    token_class = Text("the class of token or the unit; empty: none", "input")
    tier = Text("standard, batch, flex, priority, …", "standard")
    quantity = Exact("how much, where the bill says", "4000000", null=True)
    quantity_unit = Text("of what", "tokens")
    amount = Exact("in the bill's currency, as billed", "10")
    description = Text("the provider's own words", "gpt-4o, input")


class BillsView(FinanceView):
    permission = "allocation.view_providerbill"
    parameters = BillParameters

    @described(
        "finance_bills",
        "Providers' bills",
        "Replaced ones too, the one taken in last first, in pages.",
        page_of(BillSerializer),
        parameters=BillParameters,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        bills = _bills()
        if "period" in asked:
            bills = bills.filter(month=asked["period"])
        if "provider" in asked:
            bills = bills.filter(provider=asked["provider"])
        page = page_of_rows(bills, asked, downwards=True)
        items = [_bill(row) for row in page.items]
        return answer(page_of(BillSerializer), page._replace(items=items))


class BillView(FinanceView):
    permission = "allocation.view_providerbill"

    @described(
        "finance_bill", "A bill", "Its head; its lines are in pages.", BillSerializer, path=BILL
    )
    def get(self, request: Request, bill: int) -> Response:
        self.asked(request)
        return answer(BillSerializer, _bill(_the_bill(bill)))


class BillLinesView(FinanceView):
    permission = "allocation.view_providerbillline"
    parameters = PageParameters

    @described(
        "finance_bill_lines",
        "A bill's lines",
        "By line number, in pages.",
        page_of(BillLineSerializer),
        parameters=PageParameters,
        path=BILL,
    )
    def get(self, request: Request, bill: int) -> Response:
        asked = self.asked(request)
        page = page_of_rows(_the_bill(bill).lines.all(), asked, by="line_no")
        return answer(page_of(BillLineSerializer), page)


def _bills() -> QuerySet[ProviderBill]:
    return ProviderBill.objects.select_related("document", "replacement").defer("document__content")


def _the_bill(bill: int) -> ProviderBill:
    found = _bills().filter(pk=bill).first()
    if found is None:
        raise NotFound(f"there is no bill {bill}; the list of bills has those there are")
    return found


def _bill(row: ProviderBill) -> dict[str, Any]:
    return {
        "id": row.pk,
        "provider": row.provider,
        "account": row.account,
        "period": row.month,
        "first_day": min(row.days),
        "last_day": max(row.days),
        "format": row.format,
        "currency": row.currency,
        "exact": row.exact,
        "payable": row.payable.amount,
        "lines": row.line_count,
        "lines_digest": row.lines_digest,
        "document_sha256": row.document.sha256,
        "imported_at": row.imported_at,
        "replaced_by": row.replacement.by_id if hasattr(row, "replacement") else None,
    }
