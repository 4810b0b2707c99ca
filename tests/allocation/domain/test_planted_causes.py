"""A single cause, planted anywhere in a month that otherwise agrees, is found alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TypeAlias

from hypothesis import assume, given
from hypothesis import strategies as st

from allocation.domain.bill_lines import BillLine, LineKind
from tests.allocation.domain.billed_months import FALLBACK, calls, causes, cost_of, metering_of
from tests.allocation.domain.bills import DAY, SNAPSHOT, bill_line

AMOUNTS = st.decimals("0.000001", "1000", places=6)


Planted: TypeAlias = tuple[list[BillLine], set[int]]


@st.composite
def agreeing_months(draw: st.DrawFn) -> Planted:
    """A bill that metering agrees with, in cells of their own, and which cells to spoil."""
    size = draw(st.integers(1, 12))
    bill = [
        bill_line(
            n,
            day=DAY + timedelta(days=n % 5),
            project=draw(st.sampled_from(["p", "q"])),
            model=draw(st.sampled_from([SNAPSHOT, "o3", "gpt-5"])),
            token_class=draw(st.sampled_from(["input", "output"])),
            tier="standard",
            quantity=draw(st.integers(1, 1_000_000)),
            amount=draw(AMOUNTS),
        )
        for n in range(1, size + 1)
    ]
    cells = {(x.project, x.day, x.model, x.token_class): x for x in bill}
    bill = list(cells.values())
    return bill, draw(st.sets(st.integers(0, len(bill) - 1), min_size=1))


@given(agreeing_months(), AMOUNTS)
def test_a_planted_price_is_found_alone(planted: Planted, more: Decimal) -> None:
    bill, where = planted
    metered = metering_of(bill)
    spoiled = [x._replace(amount=x.amount + more) if n in where else x for n, x in enumerate(bill)]
    assume(more > Decimal("0.000001"))
    # A bill none of whose amounts has a sixth decimal reads as one rounded to five.
    assume(any(x.amount % Decimal("0.00001") for x in spoiled))
    assert causes(spoiled, metered) == {"price_difference": more * len(where)}


@given(agreeing_months())
def test_planted_bypasses_are_found_alone(planted: Planted) -> None:
    bill, where = planted
    metered = [m for n, m in enumerate(metering_of(bill)) if n not in where]
    assert causes(bill, metered) == {"unmetered": sum(bill[n].amount for n in where)}


@given(agreeing_months())
def test_planted_omissions_are_found_alone(planted: Planted) -> None:
    bill, where = planted
    billed = [x for n, x in enumerate(bill) if n not in where]
    assert causes(billed, metering_of(bill)) == {
        "metered_not_billed": -sum(bill[n].amount for n in where)
    }


@given(agreeing_months())
def test_planted_unknown_prices_are_found_alone(planted: Planted) -> None:
    bill, where = planted
    metered = [m._replace(cost=None) if n in where else m for n, m in enumerate(metering_of(bill))]
    assert causes(bill, metered) == {"unpriced": sum(bill[n].amount for n in where)}


@given(agreeing_months(), st.sampled_from(["fee", "credit", "tax", "adjustment"]), AMOUNTS)
def test_planted_other_kinds_are_found_alone(
    planted: Planted, kind: LineKind, amount: Decimal
) -> None:
    signed = -amount if kind == "credit" else amount
    line = bill_line(99, kind=kind, model="", token_class="", amount=signed)
    cause = {"fee": "fees", "credit": "credits", "adjustment": "adjustments"}.get(kind, kind)
    assert causes([*planted[0], line], metering_of(planted[0])) == {cause: signed}


@given(agreeing_months())
def test_planted_fallbacks_are_found_alone(planted: Planted) -> None:
    bill, _ = planted
    moved = calls("gpt-4o-mini-2024-07-18", FALLBACK, project="p")
    meant = metering_of(calls("o1-2024-12-17", FALLBACK, project="p", times=9))
    metered = [*metering_of(bill), *meant]
    assert causes([*bill, *moved], metered) == {
        "executed_not_requested": sum(x.amount for x in moved) - sum(map(cost_of, meant))
    }
