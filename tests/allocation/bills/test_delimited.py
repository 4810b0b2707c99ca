"""Delimited bills of any layout: the map is checked first, then every value, by row and column."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.bills.delimited import read, recognises
from allocation.bills.formats import UnknownFormat, format_named, recognise
from allocation.bills.reading import ParsedBill, Terms, UnreadableBill
from allocation.domain.bill_lines import BillLine, LineKind
from allocation.domain.bill_units import unit_doubt
from metering.domain.money import plain

USD = Terms("openai", currency="USD")


def lines(text: str, terms: Terms = USD) -> tuple[BillLine, ...]:
    parsed = read(text.encode(), terms)
    assert isinstance(parsed, ParsedBill), parsed
    return parsed.lines


def refusal(text: str | bytes, terms: Terms = USD) -> str:
    refused = read(text.encode() if isinstance(text, str) else text, terms)
    assert isinstance(refused, UnreadableBill), refused
    return str(refused)


def test_a_line_in_full() -> None:
    (line,) = lines(
        "provider,account,project,day,model,token_class,tier,quantity,unit,amount,currency,kind,"
        "description\n"
        "OpenAI,acc,p1,2026-10-03,gpt-4o-2024-08-06,Cached input,Batch,1000,tokens,0.00125,usd,"
        "Usage,cached\n",
        Terms("openai"),
    )
    assert line._asdict() == {
        "bill_id": 0,
        "line_no": 1,
        "provider": "openai",
        "account": "acc",
        "project": "p1",
        "day": date(2026, 10, 3),
        "kind": "usage",
        "model": "gpt-4o-2024-08-06",
        "token_class": "cache_read",
        "tier": "batch",
        "quantity": Decimal(1000),
        "quantity_unit": "tokens",
        "amount": Decimal("0.00125"),
        "currency": "USD",
        "description": "cached",
    }


def test_a_map_names_the_columns() -> None:
    terms = Terms("openai", "acc", "USD", {"day": "Usage date", "amount": "Cost (USD)"})
    (line,) = lines("Usage date;Cost (USD);other\n2026-10-03;1.5;x\n", terms)
    assert (line.account, line.amount) == ("acc", Decimal("1.5"))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-10-03", date(2026, 10, 3)),
        ("2026-10-03T23:59:59", date(2026, 10, 3)),
        ("2026-10-03T23:59:59Z", date(2026, 10, 3)),
        ("2026-10-03 23:30:00-02:00", date(2026, 10, 4)),
        ("2026-10-04T00:30:00+02:00", date(2026, 10, 3)),
    ],
)
def test_days_are_utc(text: str, day: date) -> None:
    (line,) = lines(f"day,amount\n{text},1\n")
    assert line.day == day


def test_minor_units_are_cents_of_the_rows_own_currency() -> None:
    terms = Terms("openai", amount_unit="minor")
    amounts = [x.amount for x in lines("day,amount,currency\n2026-10-03,123.45,USD\n", terms)]
    assert amounts == [Decimal("1.2345")]
    assert [x.amount for x in lines("day,amount,currency\n2026-10-03,5,JPY\n", terms)] == [5]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("m,input,,1", "usage"),
        ("m,,,1", "usage"),
        (",,,1", "fee"),
        (",input,,1", "usage"),
        ("m,input,,-1", "credit"),
        ("m,input,Usage,-1", "credit"),
        (",,Purchase,1", "fee"),
        (",,tax,-1", "tax"),
        (",,Adjustment,-1", "adjustment"),
        (",,credit,-1", "credit"),
    ],
)
def test_the_kind_of_a_line(row: str, kind: LineKind) -> None:
    assert [x.kind for x in lines(f"day,model,token_class,kind,amount\n2026-10-03,{row}\n")] == [
        kind
    ]


def test_without_a_model_column_all_is_usage_that_nobody_attributes() -> None:
    assert [x.kind for x in lines("day,amount\n2026-10-03,1\n")] == ["usage"]


@given(st.decimals("-1000000", "1000000", places=20))
def test_amounts_keep_every_digit(amount: Decimal) -> None:
    (line,) = lines(f"day,amount\n2026-10-03,{plain(amount)}\n")
    assert line.amount == amount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("when,amount\n1,2\n", "no column for day; the file has: when, amount"),
        ("day,amount,amount\n", "named twice: amount"),
        ("day,amount\n2026-10-03,1\nx,y\n", "row 3, column 'day': 'x' is no day"),
        ("day,amount\n2026-10-03,1\nx,y\n", "row 3, column 'amount': 'y' is no number"),
        ("day,amount\n2026-02-30,1\n", "no day of the calendar"),
        ("day,amount\n03.10.2026,1\n", "write it like 2026-10-03"),
        ('day,amount\n2026-10-03,"1,234.50"\n', "separator of thousands"),
        ("day;amount\n2026-10-03;1.234,50\n", "separator of thousands"),
        ("day;amount\n2026-10-03;1,5\n", "decimal comma"),
        ("day,amount\n2026-10-03,1 234\n", "separator of thousands"),
        ("day,amount\n2026-10-03,$5\n", "no number"),
        ("day,amount\n2026-10-03,(5)\n", "no number"),
        ("day,amount\n2026-10-03,nan\n", "no number"),
        ("day,amount\n2026-10-03,\n", "empty; write 0"),
        ("day,amount\n2026-10-03\n", "row 2: has 1 columns, the header 2"),
        ("day,amount\n2026-10-03,1,2\n", "row 2: has 3 columns"),
        ("day,amount,quantity\n2026-10-03,1,-5\n", "column 'quantity': -5 is negative"),
        ("day,amount,currency\n2026-10-03,1,EUR\n", "is in EUR, but the import says USD"),
        ("day,amount,provider\n2026-10-03,1,groq\n", "of 'groq', but .* for 'openai'"),
        ("day,amount,kind\n2026-10-03,1,refund\n", "'refund' is no kind"),
        ("day,amount,kind\n2026-10-03,1,credit\n", "would raise the bill"),
        ("day,amount,token_class\n2026-10-03,1,9 lives!\n", "no token class"),
        ('day,amount\n2026-10-03,"1\n', "no readable CSV"),
        (b"day,amount\n2026-10-03,\xff\n", "byte 22: not UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str | bytes, message: str) -> None:
    assert re.search(message, refusal(text)), refusal(text)


def test_a_map_that_does_not_fit() -> None:
    terms = Terms("openai", currency="USD", columns={"amount": "Cost", "date": "day"})
    message = refusal("day,amount\n2026-10-03,1\n", terms)
    assert "no column 'Cost' for amount; the file has: day, amount" in message
    assert "there is no field 'date'; the fields are provider, account" in message


def test_a_currency_must_come_from_somewhere() -> None:
    nowhere = Terms("openai")
    assert "no column for currency" in refusal("day,amount\n2026-10-03,1\n", nowhere)
    text = "day,amount,currency\n2026-10-03,1,\n"
    assert "give the currency" in refusal(text, nowhere)
    assert [x.currency for x in lines(text)] == ["USD"]


@given(st.binary(max_size=200) | st.text(alphabet="day,amount\n0123456789-\"';x", max_size=80))
def test_any_bytes_are_read_or_refused(raw: bytes | str) -> None:
    raw = raw if isinstance(raw, bytes) else raw.encode()
    assert isinstance(read(raw, USD), ParsedBill | UnreadableBill)


def test_formats_are_told_apart_by_content() -> None:
    assert recognise(b'{"object":"page","data":[]}').name == "openai-costs"
    assert recognise(b"\xef\xbb\xbfday,amount\n").name == "csv"
    assert not recognises(b"%PDF-1.7\n")
    with pytest.raises(UnknownFormat, match="openai-costs, csv"):
        recognise(b"%PDF-1.7")
    with pytest.raises(UnknownFormat, match="no bill format 'aws-cur'; there are openai-costs"):
        format_named("aws-cur")


@pytest.mark.parametrize("times", ["100", "96", "104", "1000", "0.01", "0.0104", "0.001"])
def test_a_size_that_speaks_of_another_unit(times: str) -> None:
    assert unit_doubt(Decimal(times) * 7, Decimal(7)) is not None


@pytest.mark.parametrize("times", ["1", "0.5", "2", "10", "94", "106", "0.1", "900"])
def test_a_size_that_does_not(times: str) -> None:
    assert unit_doubt(Decimal(times) * 7, Decimal(7)) is None
    assert unit_doubt(Decimal(0), Decimal(7)) is None
    assert unit_doubt(Decimal(7), Decimal(0)) is None
