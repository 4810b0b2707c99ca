"""Amounts in Stripe's units, what is asked for, and what differs when it is read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from babel.numbers import list_currencies
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.stripe_amounts import Unrepresentable, from_stripe, to_stripe
from billing.domain.stripe_invoice import (
    LineTerms,
    NotAnInvoice,
    RemoteInvoice,
    RemoteLine,
    TooManyLines,
    Wanted,
    differences,
    remote_invoice,
    remote_line,
    wanted,
)
from metering.domain.periods import Period

OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))

PUBLISHED = [
    ("USD", 1000, 1000),  # 10 USD
    ("JPY", 500, 500),  # 500 yen
    ("ISK", 5, 500),  # 5 króna, "an amount value of 500"
    ("UGX", 5, 500),
    ("KWD", 5120, 5120),  # 5.12 dinars
    ("HUF", 1045, 1045),
    ("TWD", 80045, 80045),
]
"""Examples of docs.stripe.com/currencies, as our minor units and as Stripe's amount."""


@pytest.mark.parametrize(("currency", "minor", "amount"), PUBLISHED)
def test_stripes_published_amounts(currency: str, minor: int, amount: int) -> None:
    assert to_stripe(minor, currency) == amount
    assert from_stripe(amount, currency) == minor


@given(st.sampled_from(sorted(list_currencies())), st.integers(-(10**12), 10**12))
def test_an_amount_comes_back_as_it_was_or_is_refused(currency: str, minor: int) -> None:
    try:
        amount = to_stripe(minor, currency)
    except Unrepresentable:
        return
    assert from_stripe(amount, currency) == minor
    assert isinstance(amount, int)


def test_no_fraction_is_rounded_away() -> None:
    with pytest.raises(Unrepresentable, match="last digit must be 0"):
        to_stripe(5124, "KWD")
    with pytest.raises(Unrepresentable, match="no whole minor unit"):
        from_stripe(550, "ISK")


def asked(*amounts: int, **terms: Any) -> Wanted:
    lines = [
        LineTerms(i, f"line {i}", amount, {"apportion_kind": "fee", "apportion_charge": ""})
        for i, amount in enumerate(amounts, 1)
    ]
    given: dict[str, Any] = {
        "reference": "ref",
        "invoice_id": 7,
        "tenant": "acme",
        "currency": "USD",
        "period": OCTOBER,
        "outputs_digest": "d",
        "lines": lines,
    }
    return wanted(**{**given, **terms})


def held(one: Wanted) -> tuple[RemoteInvoice, list[RemoteLine]]:
    """Stripe's side of it, as it should be."""
    invoice = RemoteInvoice(
        id="in_1",
        status="draft",
        number="",
        customer="cus_1",
        currency=one.currency,
        total=one.total,
        metadata={"apportion_reference": one.reference},
        transitions={},
        finalization_error="",
    )
    lines = [
        RemoteLine(
            f"il_{x.position}",
            x.amount,
            one.currency,
            x.description,
            one.start,
            one.end,
            x.metadata,
        )
        for x in one.lines
    ]
    return invoice, lines


def test_the_period_includes_its_last_second_and_empty_metadata_is_left_out() -> None:
    one = asked(100)
    assert one.end + 1 == int(OCTOBER.end.timestamp())
    assert one.start == int(OCTOBER.start.timestamp())
    assert dict(one.lines[0].metadata) == {
        "apportion_reference": "ref",
        "apportion_invoice": "7",
        "apportion_line": "1",
        "apportion_tenant": "acme",
        "apportion_kind": "fee",
    }


def test_long_text_is_cut_to_what_stripe_keeps() -> None:
    one = asked(100, tenant="t" * 600)
    assert len(one.lines[0].metadata["apportion_tenant"]) == 500


def test_more_lines_than_stripe_takes_are_refused() -> None:
    assert len(asked(*[1] * 250).lines) == 250
    with pytest.raises(TooManyLines, match="251 lines and Stripe takes 250"):
        asked(*[1] * 251)


@given(st.lists(st.integers(-(10**9), 10**9), max_size=20))
def test_what_is_held_as_it_was_asked_for_does_not_differ(amounts: list[int]) -> None:
    one = asked(*amounts)
    invoice, lines = held(one)
    assert list(differences(one, "cus_1", invoice, lines[::-1])) == []


@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=6),
    st.data(),
)
def test_two_amounts_that_are_exchanged_are_found_although_the_total_holds(
    amounts: list[int], data: st.DataObject
) -> None:
    one = asked(*amounts)
    invoice, lines = held(one)
    i, j = data.draw(st.lists(st.integers(0, len(amounts) - 1), min_size=2, max_size=2))
    a, b = lines[i].amount, lines[j].amount
    lines[i], lines[j] = replace(lines[i], amount=b), replace(lines[j], amount=a)
    expected = set() if a == b else {f"line {i + 1} amount", f"line {j + 1} amount"}
    assert {where for where, _ in differences(one, "cus_1", invoice, lines)} == expected


def test_a_line_that_is_missing_there_twice_or_foreign_is_found() -> None:
    one = asked(100, 200)
    invoice, lines = held(one)
    foreign = replace(lines[0], id="il_x", metadata={})
    cases = {
        "line 2 is 0 times at Stripe": [lines[0]],
        "line 1 is 2 times at Stripe": [*lines, lines[0]],
        "Stripe's line il_x of 100 is none of ours": [*lines, foreign],
    }
    for told, theirs in cases.items():
        found = [f"{where} {what}" for where, what in differences(one, "cus_1", invoice, theirs)]
        assert told in found


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"customer": "cus_2"}, "customer"),
        ({"currency": "EUR"}, "currency"),
        ({"total": 1}, "total"),
        ({"metadata": {}}, "reference"),
    ],
)
def test_another_invoice_is_found(change: dict[str, Any], where: str) -> None:
    one = asked(100)
    invoice, lines = held(one)
    (found,) = differences(one, "cus_1", replace(invoice, **change), lines)
    assert found.where == where


@pytest.mark.parametrize("content", [{}, {"object": "customer"}, {"object": "invoice", "id": "x"}])
def test_what_is_no_invoice_is_not_read_as_one(content: dict[str, Any]) -> None:
    with pytest.raises(NotAnInvoice):
        remote_invoice(content)
    with pytest.raises(NotAnInvoice):
        remote_line(content)
