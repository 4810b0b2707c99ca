"""Statements: issued ones, and any drawn from the month's run, to read."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.domain.statements import Subject
from allocation.models import Statement
from allocation.rendering.statement_json import statement_value
from allocation.run_book import NothingAllocated, RunBook, Whose, current_run, open_book
from allocation.statements import (
    COMPANY,
    UnknownSubject,
    cost_centre_subject,
    currency_for,
    draw,
    tenant_subject,
)
from metering.api.finance_access import FinanceView
from metering.api.paging import PageParameters, page_of, page_of_rows
from metering.api.reading import MonthField, answer, described, month_in_path
from metering.api.values import Anything, Exact, Instant, Text, Whole, money

PERIOD: Final = {"period": "a UTC month, like 2026-10"}


class StatementsParameters(PageParameters):
    """Which issued statements."""

    period = MonthField(required=False, help_text="of this UTC month, like 2026-10")
    cost_centre = serializers.CharField(
        required=False, max_length=200, help_text="of this cost centre"
    )


class StatementParameters(serializers.Serializer[Any]):
    """Whose statement; neither named: the whole company's."""

    cost_centre = serializers.CharField(required=False, max_length=200, help_text="its code")
    tenant = serializers.CharField(required=False, max_length=200, help_text="its key")
    currency = serializers.CharField(
        required=False, max_length=3, help_text="where bills are in several, which (ISO 4217)"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "cost_centre" in attrs and "tenant" in attrs:
            raise ValidationError({"tenant": ["give `cost_centre` or `tenant`, not both"]})
        return attrs


class IssuedStatementSerializer(serializers.Serializer[Any]):
    """What a cost centre was told it bears, as it was issued."""

    id = Whole("the statement", 9)
    period = Text("the UTC month", "2026-10")
    run = Whole("the number of the run it was drawn from", 1)
    run_state = Text("that run's state now; superseded: a later one counts", "closed")
    cost_centre = Text("whose", "cc-growth")
    name = Text("its name then", "Growth")
    responsible = Text("who answered for it then", "head of growth")
    mode = Text("showback or chargeback", "chargeback")
    currency = Text("ISO 4217", "USD")
    exact = Exact("the lines' exact sum", "10.0666…")
    total = Text("what is borne, with the currency's decimals", "10.07")
    total_minor = Whole("the same in minor units", 1007)
    events = Whole("how many events are beneath it", 4_211)
    events_digest = Text("SHA-256 that proves the set", "1f2e…")
    digest = Text("SHA-256 over all that it asserts", "aa01…")
    issued_at = Instant("when", "2026-11-02T09:00:00Z")


class SubjectSerializer(serializers.Serializer[Any]):
    """Whose statement it is."""

    kind = Text("cost_centre, tenant or company", "cost_centre")
    key = Text("its code or key; empty: the company", "cc-growth")
    name = Text("its name", "Growth")
    responsible = Text("who answers for it; empty: nobody named", "head of growth")


class StatementLineSerializer(serializers.Serializer[Any]):
    """A part of a bill that an owner bears, and what it was divided by."""

    bill = Text("the bill, and its currency", "4 USD")
    cost_centre = Text("who bears it", "cc-growth")
    tenant = Text("for whom; empty: nobody", "acme")
    provider = Text("the provider", "openai")
    model = Text("the executed model; empty: of a pool", "gpt-4o")
    strategy = Text("direct, activity_based, weighted", "direct")
    pool = Text("the pool", "direct usage")
    rule = Text("the rule and its version", "standard v1")
    basis = Text("what it was divided by", "metered cost")
    driver_value = Exact("the owner's measure; null: none", "10", null=True)
    driver_total = Exact("everyone's measure; null: none", "15", null=True)
    share = Exact("the owner's part of the driver, a ratio", "0.666666666667", null=True)
    amount = Exact("the exact part", "10")


class StatementSettlementSerializer(serializers.Serializer[Any]):
    """What one owner bears of one bill."""

    bill = Text("the bill, and its currency", "4 USD")
    provider = Text("the provider", "openai")
    cost_centre = Text("who bears it", "cc-growth")
    tenant = Text("for whom; empty: nobody", "acme")
    exact = Exact("the lines' exact sum", "10.0666…")
    amount_minor = Whole("what is borne, in minor units", 1007)


class UnallocatedSerializer(serializers.Serializer[Any]):
    """An amount that nobody owns, and why."""

    pool = Text("the pool", "fees")
    reason = Text("in words", "no pool takes it")
    amount = Exact("exact", "0.1")


class StatementSerializer(serializers.Serializer[Any]):
    """What one cost centre, tenant or the company bears of a month's bills, and how it came about.
    The same values as `manage.py statement`."""

    period = Text("the UTC month", "2026-10")
    subject = SubjectSerializer(read_only=True)
    mode = Text("showback or chargeback", "chargeback")
    state = Text("draft, approved or closed", "closed")
    currency = Text("ISO 4217", "USD")
    total_minor = Whole("what is borne, in minor units", 1007)
    total = Exact("the same as an amount", "10.07")
    exact = Exact("the lines' exact sum", "10.0666…")
    rounding = Exact("what settling added: total less exact", "0.0033…")
    direct = Exact("of the lines, what was caused by own calls", "10")
    shared = Exact("of the lines, parts of pools", "0.0666…")
    whole_minor = Whole("all bills of the run in this currency, in minor units", 1610)
    unallocated_minor = Whole("of them, what nobody owns, in minor units", 100)
    unallocated_responsible = Text("who answers for that", "head of platform")
    unallocated = UnallocatedSerializer(many=True, read_only=True)
    lines = StatementLineSerializer(many=True, read_only=True)
    settlements = StatementSettlementSerializer(many=True, read_only=True)
    metered = Anything(
        "for information: metered cost by feature and day, and models without a price",
        {"currency": "USD", "unpriced_models": [], "features": [], "days": []},
    )
    previous = Anything(
        "the closed month before; null: none",
        {"period": "2026-09", "total_minor": 950},
        null=True,
    )
    run = Anything(
        "the run it was drawn from: number, digests, author, rules",
        {"number": 1, "digest": "c0de…", "inputs_digest": "7d01…", "author": "analyst"},
    )
    evidence = Anything(
        "the events beneath: how many, the digest that proves the set, how to list them",
        {"events": 4211, "digest": "1f2e…", "listing": "manage.py export evidence 2026-10 …"},
    )
    digest = Text("SHA-256 over all that it asserts", "aa01…")


class StatementsView(FinanceView):
    permission = "allocation.view_statement"
    parameters = StatementsParameters

    @described(
        "finance_statements",
        "Issued statements",
        "The one issued last first, in pages.",
        page_of(IssuedStatementSerializer),
        parameters=StatementsParameters,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        rows = Statement.objects.select_related("run")
        if "period" in asked:
            rows = rows.filter(run__month=asked["period"])
        if "cost_centre" in asked:
            rows = rows.filter(cost_centre=asked["cost_centre"])
        page = page_of_rows(rows, asked, downwards=True)
        items = [_issued(row) for row in page.items]
        return answer(page_of(IssuedStatementSerializer), page._replace(items=items))


class StatementView(FinanceView):
    permission = "allocation.view_statement"
    parameters = StatementParameters

    @described(
        "finance_statement",
        "A statement of a month",
        "Drawn from the run that counts: of a cost centre, of a tenant, or (neither named) of the"
        " company. 404 where the month has no run, or the run knows no such owner or currency.",
        StatementSerializer,
        parameters=StatementParameters,
        path=PERIOD,
    )
    def get(self, request: Request, period: str) -> Response:
        asked = self.asked(request)
        try:
            book = open_book(current_run(month_in_path(period)), whose=_whose(asked))
            subject = _subject(book, asked)
            currency = currency_for(book, subject, asked.get("currency"))
        except (NothingAllocated, UnknownSubject) as error:
            raise NotFound(str(error)) from error
        return answer(StatementSerializer, statement_value(draw(book, subject, currency)))


def _whose(asked: dict[str, Any]) -> Whose | None:
    if "cost_centre" in asked:
        return Whose("cost_centre", asked["cost_centre"])
    return Whose("tenant", asked["tenant"]) if "tenant" in asked else None


def _subject(book: RunBook, asked: dict[str, Any]) -> Subject:
    if "cost_centre" in asked:
        return cost_centre_subject(book, asked["cost_centre"])
    if "tenant" in asked:
        return tenant_subject(book, asked["tenant"])
    return COMPANY


def _issued(row: Statement) -> dict[str, Any]:
    return {
        "id": row.pk,
        "period": row.run.month,
        "run": row.run.number,
        "run_state": row.run.state,
        "cost_centre": row.cost_centre,
        "name": row.name,
        "responsible": row.responsible,
        "mode": row.mode,
        "currency": row.currency,
        "exact": row.exact,
        "total": money(row.amount_minor, row.currency),
        "total_minor": row.amount_minor,
        "events": row.events,
        "events_digest": row.events_digest,
        "digest": row.digest,
        "issued_at": row.issued_at,
    }
