"""Bills are taken in once, whole, and never doubled, whoever imports what in which order."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from types import MappingProxyType

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, connections, transaction

from allocation import bill_checks
from allocation.bill_checks import BillRefused, Confirmed
from allocation.bills.reading import AmountUnit, Terms
from allocation.models import BillDocument, PeriodClose, ProviderBill, ProviderBillLine
from allocation.provider_bills import Imported, bill_lines, bills_of, import_bill
from allocation.verification import checks
from metering.domain.cells import MeteredCell
from metering.domain.periods import Month
from tests.allocation import october
from tests.allocation.domain.bills import reading

NOW = datetime(2026, 11, 2, tzinfo=UTC)
OCTOBER = Month(2026, 10)
HEADER = "day,model,token_class,quantity,amount,currency\n"


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> list[MeteredCell]:
    """What metering answers; nothing, until a test says otherwise."""
    cells: list[MeteredCell] = []
    monkeypatch.setattr(bill_checks, "day_costs", lambda _period: october.day_costs_of(cells))
    return cells


@pytest.fixture(autouse=True)
def _no_metering_by_default(metered: list[MeteredCell]) -> list[MeteredCell]:
    return metered


def csv_bill(*rows: str) -> bytes:
    return (HEADER + "".join(f"{row}\n" for row in rows)).encode()


def row(
    day: str = "2026-10-03", amount: str = "1.50", currency: str = "USD", quantity: str = "1000"
) -> str:
    return f"{day},gpt-4o-2024-08-06,input,{quantity},{amount},{currency}"


def take(
    raw: bytes,
    provider: str = "openai",
    account: str = "",
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    amount_unit: AmountUnit = "major",
    replaces: Collection[int] = (),
    confirmed: Confirmed = Confirmed(),  # noqa: B008 - an immutable value
) -> Imported:
    terms = Terms(provider, account, columns=columns, amount_unit=amount_unit)
    return import_bill(raw, terms, now=NOW, replaces=replaces, confirmed=confirmed)


def counts() -> list[int]:
    return [
        BillDocument.objects.count(),
        ProviderBill.objects.count(),
        ProviderBillLine.objects.count(),
    ]


@pytest.mark.django_db
def test_a_bill_is_kept_as_it_came_and_read() -> None:
    raw = csv_bill(row(), row(day="2026-10-04", amount="0.0000000001"))
    (bill,) = take(raw).bills
    assert bytes(BillDocument.objects.get().content) == raw
    assert (bill.exact, bill.payable) == (Decimal("1.5000000001"), Decimal("1.50"))
    assert bill.days == (date(2026, 10, 3), date(2026, 10, 4))
    first, second = bill_lines(OCTOBER)
    assert (first.bill_id, first.line_no, first.amount) == (bill.id, 1, Decimal("1.50"))
    assert second.amount == Decimal("0.0000000001")
    assert bill_lines(OCTOBER, "groq") == bill_lines(Month(2026, 9)) == []


@pytest.mark.django_db
def test_the_same_bytes_twice_are_one_bill() -> None:
    first = take(csv_bill(row()))
    again = take(csv_bill(row()))
    assert (first.new, again.new) == (True, False)
    assert again.bills == first.bills
    assert counts() == [1, 1, 1]


@pytest.mark.django_db
def test_days_that_have_a_bill_take_no_other() -> None:
    (first,) = take(csv_bill(row(), row(day="2026-10-04"))).bills
    with pytest.raises(BillRefused, match=f"--replaces {first.id}"):
        take(csv_bill(row(day="2026-10-04", amount="2")))
    assert counts() == [1, 1, 2]
    take(csv_bill(row(day="2026-10-05")))
    take(csv_bill(row(day="2026-10-04", amount="2")), account="other")
    assert [line.amount for line in bill_lines(OCTOBER)] == [Decimal("1.5")] * 3 + [Decimal(2)]


@pytest.mark.django_db
def test_a_restatement_replaces_and_deletes_nothing() -> None:
    (first,) = take(csv_bill(row())).bills
    (second,) = take(csv_bill(row(amount="2")), replaces=[first.id]).bills
    assert [line.bill_id for line in bill_lines(OCTOBER)] == [second.id]
    assert [(b.id, b.replaced_by) for b in bills_of(OCTOBER)] == [
        (first.id, second.id),
        (second.id, None),
    ]
    assert take(csv_bill(row())).bills[0].replaced_by == second.id
    with pytest.raises(BillRefused, match="already replaced"):
        take(csv_bill(row(amount="3", day="2026-10-09")), replaces=[first.id])


@pytest.mark.django_db
def test_a_restatement_that_was_a_mistake_is_taken_back() -> None:
    right, wrong = csv_bill(row()), csv_bill(row(amount="2"))
    (first,) = take(right).bills
    (second,) = take(wrong, replaces=[first.id]).bills
    assert not take(right).new, "nobody said that it shall hold again"
    (third,) = take(right, replaces=[second.id]).bills
    assert [(line.bill_id, line.amount) for line in bill_lines(OCTOBER)] == [
        (third.id, Decimal("1.5"))
    ]
    again = take(right, replaces=[second.id])
    assert (again.new, again.bills) == (False, (third,)), "asked for twice, done once"
    assert not take(wrong, replaces=[first.id]).new, "what was done before is no order to undo"
    take(wrong, replaces=[third.id])
    assert [line.amount for line in bill_lines(OCTOBER)] == [2]
    assert list(checks(OCTOBER)["bills"]()) == []


@pytest.mark.django_db
def test_a_bill_replaces_only_what_it_speaks_of() -> None:
    (first,) = take(csv_bill(row())).bills
    with pytest.raises(BillRefused, match="says nothing of that"):
        take(csv_bill(row(day="2026-09-03")), replaces=[first.id])
    with pytest.raises(BillRefused, match="no bill 999"):
        take(csv_bill(row(day="2026-10-09")), replaces=[999])
    assert counts() == [1, 1, 1]


@pytest.mark.django_db
def test_the_same_bytes_on_other_terms_are_another_reading() -> None:
    raw = b"day,a,b,currency\n2026-10-03,1,2,USD\n"
    (first,) = take(raw, columns={"amount": "a"}).bills
    with pytest.raises(BillRefused, match="already speaks"):
        take(raw, columns={"amount": "b"})
    take(raw, columns={"amount": "b"}, replaces=[first.id])
    assert [line.amount for line in bill_lines(OCTOBER)] == [2]
    assert counts() == [1, 2, 2]


@pytest.mark.django_db
def test_one_document_counts_once_whatever_account_it_is_given() -> None:
    raw = b"day,amount,currency\n2026-10-03,1,USD\n"
    (first,) = take(raw, account="mistyped").bills
    with pytest.raises(BillRefused, match="already speaks"):
        take(raw, account="right")
    take(raw, account="right", replaces=[first.id])
    assert [(line.account, line.amount) for line in bill_lines(OCTOBER)] == [("right", Decimal(1))]


@pytest.mark.django_db
def test_a_bill_of_a_month_to_come_is_refused() -> None:
    with pytest.raises(BillRefused, match="has not begun"):
        take(b"day,amount,currency\n2226-10-03,1,USD\n")


@pytest.mark.django_db
def test_a_document_makes_one_bill_for_each_account_and_month() -> None:
    raw = (
        b"day,account,amount,currency\n"
        b"2026-09-30,a,1,USD\n2026-10-01,a,2,USD\n2026-10-01,b,3,EUR\n2026-10-02,a,4,USD\n"
    )
    bills = take(raw).bills
    assert [(b.account, str(b.month), b.exact, b.currency) for b in bills] == [
        ("a", "2026-09", Decimal(1), "USD"),
        ("a", "2026-10", Decimal(6), "USD"),
        ("b", "2026-10", Decimal(3), "EUR"),
    ]
    assert [line.line_no for line in bill_lines(OCTOBER)] == [1, 2, 1]
    assert BillDocument.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (csv_bill(row(), row(amount="x")), "row 3, column 'amount'"),
        (csv_bill(row(), row(currency="EUR")), "line 2 is in EUR, line 1 in USD"),
        (csv_bill(row(currency="XYZ")), "no ISO 4217"),
        (csv_bill(), "charges nothing"),
        (b"day,amount\n2026-10-01,1\n", "no column for currency"),
        (b"", "no known bill"),
        (b'{"object": "page", "data": [', "no JSON"),
    ],
)
def test_what_cannot_be_read_leaves_nothing_behind(raw: bytes, message: str) -> None:
    with pytest.raises(BillRefused, match=message):
        take(raw)
    assert counts() == [0, 0, 0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cost", "says"),
    [("0.015", "100 times"), ("0.0015", "1000 times"), ("150", "1/100"), ("1500", "1/1000")],
)
def test_a_bill_in_another_unit_than_it_is_read_in(
    metered: list[MeteredCell], cost: str, says: str
) -> None:
    metered.append(reading(cost=cost))
    with pytest.raises(BillRefused, match=says):
        take(csv_bill(row()))
    assert counts() == [0, 0, 0]
    assert take(csv_bill(row()), confirmed=Confirmed(unit=True)).new


@pytest.mark.django_db
def test_cents_are_read_as_cents_when_the_import_says_so(metered: list[MeteredCell]) -> None:
    metered.append(reading(cost="1.5"))
    (bill,) = take(csv_bill(row(amount="150.5")), amount_unit="minor").bills
    assert bill.exact == Decimal("1.505")


@pytest.mark.django_db
def test_a_bill_that_merely_differs_is_taken_in(metered: list[MeteredCell]) -> None:
    metered += [reading(cost="0.20"), reading(cost=1000, day=date(2026, 10, 9))]
    assert take(csv_bill(row())).new


@pytest.mark.django_db
def test_a_currency_that_the_provider_never_billed_in() -> None:
    take(csv_bill(row()))
    november = csv_bill(row(day="2026-11-01", currency="EUR"))
    with pytest.raises(BillRefused, match="was in USD"):
        take(november)
    assert take(november, confirmed=Confirmed(unit=True)).new


@pytest.mark.django_db
def test_a_provider_that_nobody_has_heard_of(metered: list[MeteredCell]) -> None:
    metered.append(reading())
    with pytest.raises(BillRefused, match=r"nothing of 'opnai' was metered.*openai"):
        take(csv_bill(row()), provider="opnai")
    with pytest.raises(BillRefused, match="provider's key"):
        take(csv_bill(row()), provider="Open AI")
    assert take(csv_bill(row()), provider="opnai", confirmed=Confirmed(provider=True)).new


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE provider_bill_line SET amount = 0",
        "UPDATE provider_bill SET exact = 0",
        "DELETE FROM provider_bill_line",
        "DELETE FROM bill_document",
        "UPDATE bill_document SET content = ''",
        (
            "INSERT INTO provider_bill_line (bill_id, line_no, project, day, kind, model,"
            " token_class, tier, quantity_unit, amount, description)"
            " SELECT id, 99, '', '2026-10-03', 'usage', '', '', '', '', 1, '' FROM provider_bill"
        ),
    ],
)
def test_a_stored_bill_cannot_be_changed(statement: str) -> None:
    take(csv_bill(row()))
    with (
        pytest.raises((IntegrityError, ProgrammingError), match=r"Cannot|no more lines"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.django_db
def test_the_database_itself_refuses_a_second_bill_and_a_wrong_sum() -> None:
    (stored,) = take(csv_bill(row())).bills
    bill = ProviderBill.objects.get(id=stored.id)
    bill.pk, bill.reading, bill._state.adding = None, "0" * 64, True
    with pytest.raises(IntegrityError, match="already speaks"), transaction.atomic():
        bill.save()
    bill.days = [date(2026, 10, 9)]
    with pytest.raises(IntegrityError, match="has 0 lines of 0, not 1"), transaction.atomic():
        bill.save()


@pytest.mark.usefixtures("fresh_db")
@pytest.mark.parametrize("same", [True, False])
def test_two_imports_at_once(*, same: bool) -> None:
    """The same document is stored once; two documents for one day are not both taken."""
    together = Barrier(2)

    def importer(amount: str) -> bool | str:
        try:
            together.wait()
            return take(csv_bill(row(amount=amount))).new
        except BillRefused:
            return "refused"
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(importer, ["1", "1"] if same else ["1", "2"]))
    assert sorted(map(str, outcomes)) == sorted(["True", "False" if same else "refused"])
    assert counts() == [1, 1, 1]


@pytest.mark.django_db
def test_the_command_takes_a_bill_and_tells_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "october.csv"
    path.write_bytes(b"Date;Cost\n2026-10-03;150\n")
    options = ["--provider", "openai", "--map", "day=Date", "--map", "amount=Cost"]
    call_command(
        "import_bill", path, *options, "--currency", "usd", "--amount-unit=minor", "--json"
    )
    told = json.loads(capsys.readouterr().out)
    assert told["new"] is True
    assert told["bills"][0]["total"] == "1.5"
    assert told["bills"][0]["period"] == "2026-10"
    call_command("import_bill", path, *options, "--currency", "usd", "--amount-unit=minor")
    assert "taken in before" in capsys.readouterr().out


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format=invoice-pdf"], "there are openai-costs, csv"),
        (["--map", "day"], "FIELD=COLUMN"),
        (["--map", "day=a", "--map", "day=b"], "twice"),
        (["--map", "date=Date"], "the fields are provider"),
        (["--currency", "dollars"], "ISO 4217"),
        ([], "no column for day"),
    ],
)
def test_the_command_says_what_it_needs(tmp_path: Path, options: list[str], message: str) -> None:
    path = tmp_path / "october.csv"
    path.write_bytes(b"Date,Cost\n2026-10-03,150\n")
    with pytest.raises(CommandError, match=message):
        call_command("import_bill", path, "--provider", "openai", *options)
    assert counts() == [0, 0, 0]


def test_the_command_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_bill", tmp_path / "none.csv", "--provider", "openai")


def test_a_closed_month_takes_no_bill_but_knows_those_it_has(
    closed: PeriodClose, metered: list[MeteredCell]
) -> None:
    """The month is October, closed with one bill."""
    (known,) = bills_of(OCTOBER)
    with pytest.raises(BillRefused, match=r"2026-10 was closed by .* reopen_period"):
        take(csv_bill(row(day="2026-10-17")))
    document = bytes(BillDocument.objects.get().content)
    again = take(document)
    assert (again.new, again.bills) == (False, (known,))


def test_the_database_itself_keeps_a_closed_month_shut(
    closed: PeriodClose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bill_checks, "refuse_if_closed", lambda _month: None)
    with pytest.raises(IntegrityError, match="2026-10 is closed"), transaction.atomic():
        take(csv_bill(row(day="2026-10-17")))
