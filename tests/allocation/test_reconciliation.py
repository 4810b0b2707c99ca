"""Reconciliations are stored once for the same inputs, close in the database, and can be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.models import Model

from allocation import bill_checks, reconciliation
from allocation.bills.reading import Terms
from allocation.closed_months import MonthIsClosed
from allocation.domain.variances import CAUSES
from allocation.models import (
    PeriodClose,
    Reconciliation,
    ReconciliationResult,
)
from allocation.provider_bills import StoredBill, import_bill
from allocation.reconciliation import (
    CannotCompare,
    EvidenceRow,
    NothingToReconcile,
    inputs_digest,
    outputs_digest,
    reconcile,
    results_of,
)
from metering.domain.cells import MeteredCell
from metering.domain.digests import digest_of
from metering.domain.periods import Month
from metering.readings import MeteredUsage
from tests.allocation import october
from tests.allocation.domain.bills import reading

NOW = datetime(2026, 11, 2, tzinfo=UTC)
OCTOBER = Month(2026, 10)
BILL = (
    b"day,project,model,token_class,quantity,amount,kind,currency\n"
    b"2026-10-03,p,gpt-4o-2024-08-06,input,1000,0.0025,,USD\n"
    b"2026-10-03,p,gpt-4o-2024-08-06,output,100,0.001,,USD\n"
    b"2026-10-04,p,o3,input,1000,0.002,,USD\n"
    b"2026-10-31,,,,,0.5,tax,USD\n"
    b"2026-10-05,p,gpt-5,input,,0.007,,USD\n"
)


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> list[MeteredCell]:
    """What metering answers: the bill's first two lines by three owners, and more."""
    cells = [
        reading("a", project="p", quantity=600, cost="0.0015"),
        reading("b", project="p", quantity=400, cost="0.001"),
        reading("a", project="p", token_class="output", quantity=100, cost="0.0008"),
        reading("a", project="p", model="gpt-5", day=date(2026, 10, 5), cost="0.004"),
        reading("a", provider="groq", model="llama-4", quantity=50, cost="0.0001"),
        reading("b", provider="vllm", model="own", quantity=70, cost=None, currency=""),
    ]
    monkeypatch.setattr(
        reconciliation, "metered_usage", lambda _period: MeteredUsage(cells, digest_of(cells))
    )
    monkeypatch.setattr(bill_checks, "day_costs", lambda _period: october.day_costs_of(cells))
    monkeypatch.setattr(reconciliation, "_unexplained_owner", lambda: "person@example.com")
    return cells


@pytest.fixture
def bill(db: None, metered: list[MeteredCell]) -> StoredBill:
    return import_bill(BILL, Terms("openai"), now=NOW).bills[0]


@pytest.mark.usefixtures("bill")
def test_every_provider_has_its_waterfall() -> None:
    openai, groq, vllm = (
        {r.provider: r for r in results_of(reconcile(OCTOBER, now=NOW))}[name]
        for name in ("openai", "groq", "vllm")
    )
    assert (openai.metered, openai.bill) == (Decimal("0.0073"), Decimal("0.5125"))
    assert {cause: amount for cause, amount in openai.steps if amount} == {
        "unmetered": Decimal("0.002"),
        "price_difference": Decimal("0.0002"),
        "tax": Decimal("0.5"),
        "unexplained": Decimal("0.003"),
    }
    assert [cause for cause, _ in openai.steps] == list(CAUSES)
    assert openai.unexplained_owner == "person@example.com"
    assert (groq.bill, groq.metered, groq.steps) == (None, Decimal("0.0001"), ())
    assert vllm.bill is None
    assert vllm.metered == 0
    assert vllm.unpriced_quantity == 70


def test_evidence_leads_to_the_bills_lines(bill: StoredBill) -> None:
    (openai,) = [r for r in results_of(reconcile(OCTOBER, now=NOW)) if r.provider == "openai"]
    by_cause = {row.cause: row for row in openai.evidence if row.cause != "matched"}
    row = by_cause["price_difference"]
    assert row.bill_lines == ((bill.id, 2),)
    assert (row.day, row.model, row.token_class) == (
        date(2026, 10, 3),
        "gpt-4o-2024-08-06",
        "output",
    )
    assert (row.billed, row.metered) == (Decimal("0.001"), Decimal("0.0008"))
    assert row.metered_quantity == 100
    assert by_cause["unmetered"].matching == "none"
    assert by_cause["unexplained"].note == "the bill gives no quantity for this"
    assert [r.number for r in openai.evidence] == list(range(1, len(openai.evidence) + 1))


@pytest.mark.usefixtures("bill")
def test_the_same_inputs_are_reconciled_once(metered: list[MeteredCell]) -> None:
    first = reconcile(OCTOBER, now=NOW)
    again = reconcile(OCTOBER, now=datetime(2026, 11, 3, tzinfo=UTC))
    assert again == first
    assert again.reconciled_at == NOW
    assert first.inputs_digest == inputs_digest(OCTOBER, usage=digest_of(metered))
    metered.append(reading("c", project="p", day=date(2026, 10, 9)))
    assert inputs_digest(OCTOBER, usage=digest_of(metered)) != first.inputs_digest
    assert reconcile(OCTOBER, now=NOW).number == 2
    assert Reconciliation.objects.count() == 2


@pytest.mark.usefixtures("bill")
def test_what_is_stored_is_what_was_digested() -> None:
    stored = reconcile(OCTOBER, now=NOW)
    assert outputs_digest(results_of(stored)) == stored.outputs_digest


@pytest.mark.django_db
def test_a_month_without_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = MeteredUsage([], digest_of([]))
    monkeypatch.setattr(reconciliation, "metered_usage", lambda _period: nothing)
    with pytest.raises(NothingToReconcile, match="2026-10"):
        reconcile(OCTOBER, now=NOW)
    with pytest.raises(CommandError, match="neither a bill"):
        call_command("reconcile", "2026-10")


@pytest.mark.usefixtures("bill")
def test_currencies_that_cannot_be_compared(metered: list[MeteredCell]) -> None:
    metered.append(reading("c", currency="EUR", day=date(2026, 10, 9)))
    with pytest.raises(CannotCompare, match=r"openai: .*EUR: the prices of gpt-4o.*USD: bill"):
        reconcile(OCTOBER, now=NOW)
    assert Reconciliation.objects.count() == ReconciliationResult.objects.count() == 0


@pytest.mark.usefixtures("bill")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reconciliation SET outputs_digest = ''",
        "DELETE FROM reconciliation_evidence",
        "UPDATE reconciliation_step SET amount = 0",
        "UPDATE reconciliation_result SET bill = metered",
        (
            "INSERT INTO reconciliation_step (result_id, position, cause, amount)"
            " SELECT id, 99, 'unmetered', 1 FROM reconciliation_result WHERE provider = 'groq'"
        ),
    ],
)
def test_a_stored_reconciliation_cannot_be_changed(statement: str) -> None:
    reconcile(OCTOBER, now=NOW)
    with (
        pytest.raises((IntegrityError, ProgrammingError), match=r"Cannot|no more rows"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.usefixtures("bill")
@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        (ReconciliationResult, {"bill": Decimal(1)}, "do not lead to the bill"),
        (ReconciliationResult, {"matched": Decimal(1)}, "evidence of matched"),
    ],
)
def test_the_database_adds_up_every_waterfall(
    monkeypatch: pytest.MonkeyPatch, table: type[Model], change: dict[str, Decimal], message: str
) -> None:
    """A program that stored something else than it computed would be refused."""
    make = table.__init__

    def tampered(self: Model, *args: object, **fields: object) -> None:
        if fields.get("bill") is not None:
            fields |= change
        make(self, *args, **fields)

    monkeypatch.setattr(table, "__init__", tampered)
    with pytest.raises(IntegrityError, match=message), transaction.atomic():
        reconcile(OCTOBER, now=NOW)
    assert Reconciliation.objects.count() == 0


@pytest.mark.usefixtures("bill")
def test_the_database_adds_up_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = reconciliation.copy_evidence

    def tampered(result: ReconciliationResult, evidence: Sequence[EvidenceRow]) -> None:
        copy(result, [each._replace(amount=each.amount + 1) for each in evidence])

    monkeypatch.setattr(reconciliation, "copy_evidence", tampered)
    with pytest.raises(IntegrityError, match="evidence of"), transaction.atomic():
        reconcile(OCTOBER, now=NOW)
    assert Reconciliation.objects.count() == 0


@pytest.mark.usefixtures("bill")
def test_the_command_prints_the_way_from_metered_cost_to_bill(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("reconcile", "2026-10")
    told = capsys.readouterr().out
    assert "openai (USD)" in told
    assert "metered cost                          0.007300" in told
    assert "price difference                      0.000200      1 cell" in told
    assert "= bill                                0.512500" in told
    assert "person@example.com answers for what is unexplained" in told
    assert "no bill yet" in told


@pytest.mark.usefixtures("bill")
def test_the_command_prints_every_line_as_decimal_strings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("reconcile", "2026-10", "--json")
    told = json.loads(capsys.readouterr().out, parse_float=pytest.fail)
    assert told["digest"] == Reconciliation.objects.get().outputs_digest
    groq, openai, _ = told["providers"]
    assert (groq["provider"], groq["bill"]) == ("groq", None)
    steps = {step["cause"]: Decimal(step["amount"]) for step in openai["steps"]}
    assert Decimal(openai["metered"]) + sum(steps.values()) == Decimal(openai["bill"])
    for cause, amount in steps.items():
        lines = [line for line in openai["lines"] if line["cause"] == cause]
        assert sum((Decimal(line["amount"]) for line in lines), Decimal(0)) == amount
    (total,) = told["totals"]
    assert (total["currency"], total["bill"], total["steps"]["tax"]) == ("USD", "0.5125", "0.5")
    with pytest.raises(CommandError, match="YYYY-MM"):
        call_command("reconcile", "october")


def test_real_usage_and_its_bill(ready: None) -> None:
    """Calls through ingestion, prices and rollups, and a bill by CSV."""
    (result,) = results_of(reconcile(october.OCTOBER, now=NOW))
    assert result.metered == 16
    assert result.bill == Decimal("16.10")
    assert {cause: amount for cause, amount in result.steps if amount} == {"fees": Decimal("0.10")}
    assert result.unexplained_owner == "head of platform"


def test_a_closed_month_answers_with_what_it_was_closed_on(
    closed: PeriodClose, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = reconcile(OCTOBER, now=NOW)
    assert stored.reconciled_at == october.NOW
    monkeypatch.setattr(reconciliation, "METHOD", "another")
    with pytest.raises(MonthIsClosed):
        reconcile(OCTOBER, now=NOW)
