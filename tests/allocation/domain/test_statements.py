"""A statement that does not add up cannot be built; merging lines loses nothing."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.domain.statements import (
    Derivation,
    EvidenceReference,
    Metered,
    Part,
    RunReference,
    Settlement,
    Statement,
    StatementDoesNotAdd,
    StatementLine,
    Subject,
    assert_covers,
    merged,
    sum_exact,
    totals_by,
)
from metering.domain.money import from_minor
from metering.domain.periods import Month


def part_of(line: StatementLine, division: Hashable) -> Part:
    derivation = Derivation._make(getattr(line, name) for name in Derivation._fields)
    return Part(derivation, division, line.driver_value, line.driver_total, line.amount)


def line(tenant: str, units: int, model: str = "gpt-4o", pool: str = "") -> StatementLine:
    return StatementLine(
        bill="7",
        cost_centre="cc-growth",
        tenant=tenant,
        provider="openai",
        model=model,
        strategy="activity-based" if pool else "direct",
        pool=pool,
        rule="standard",
        basis="requests",
        driver_value=Decimal(3),
        driver_total=Decimal(12),
        amount=Decimal(units).scaleb(-12),
    )


def settlement(tenant: str, exact: Decimal, amount_minor: int) -> Settlement:
    return Settlement(
        bill="7",
        provider="openai",
        cost_centre="cc-growth",
        tenant=tenant,
        exact=exact,
        amount_minor=amount_minor,
    )


def statement(lines: tuple[StatementLine, ...], settlements: tuple[Settlement, ...]) -> Statement:
    return Statement(
        period=Month(2026, 10),
        subject=Subject(kind="cost_centre", key="cc-growth", name="Growth"),
        mode="chargeback",
        currency="USD",
        state="draft",
        run=RunReference(number=1, digest="aa", inputs_digest="bb", author="", rules=()),
        lines=lines,
        settlements=settlements,
        whole_minor=1_000,
        unallocated_minor=0,
        unallocated_responsible="",
        unallocated=(),
        metered=Metered(),
        previous=None,
        evidence=EvidenceReference(0, "", ""),
    )


tenants = st.sampled_from(["", "acme", "globex", "initech"])
units = st.integers(-(10**16), 10**16)


@given(
    st.lists(st.builds(line, tenants, units, st.sampled_from(["a", "b"])), max_size=20), st.data()
)
def test_lines_and_rounding_are_the_total(lines: list[StatementLine], data: st.DataObject) -> None:
    settlements = []
    for tenant in sorted({part.tenant for part in lines}):
        exact = sum_exact(part.amount for part in lines if part.tenant == tenant)
        floor = int(exact.scaleb(2) // 1)
        up = data.draw(st.booleans()) and Decimal(floor) != exact.scaleb(2)
        settlements.append(settlement(tenant, exact, floor + (1 if up and exact > 0 else 0)))
    settlements = [
        s for s in settlements if abs(from_minor(s.amount_minor, "USD") - s.exact) < Decimal("0.01")
    ]
    kept = {s.tenant for s in settlements}
    drawn = statement(tuple(p for p in lines if p.tenant in kept), tuple(settlements))
    assert drawn.exact + drawn.rounding == drawn.total
    assert drawn.direct + drawn.shared == drawn.exact
    assert drawn.total_minor == sum(s.amount_minor for s in settlements)


@given(
    st.lists(
        st.tuples(st.builds(line, tenants, units, st.sampled_from(["a", "b"])), st.integers(0, 3)),
        max_size=30,
    )
)
def test_merging_keeps_every_owners_amount(parts: list[tuple[StatementLine, int]]) -> None:
    before = [part for part, _ in parts]
    after = merged(part_of(part, division) for part, division in parts)
    assert totals_by(after, "tenant") == totals_by(before, "tenant")
    assert totals_by(after, "model") == totals_by(before, "model")
    assert len(after) == len({(part.tenant, part.model) for part in before})


def test_one_divisions_total_is_counted_once_and_different_ones_add_up() -> None:
    same = merged([part_of(line("acme", 1), "cell 1")] * 2)
    assert (same[0].driver_value, same[0].driver_total) == (Decimal(6), Decimal(12))
    different = merged([part_of(line("acme", 1), "cell 1"), part_of(line("acme", 1), "cell 2")])
    assert (different[0].driver_value, different[0].driver_total) == (Decimal(6), Decimal(24))
    assert different[0].share == Decimal("0.25")


def test_a_line_with_nothing_measured_leaves_the_merged_line_unmeasured() -> None:
    unmeasured = replace(line("acme", 1), driver_value=None, driver_total=None)
    both = merged([part_of(line("acme", 1), "cell 1"), part_of(unmeasured, "cell 2")])
    assert (both[0].driver_value, both[0].share) == (None, None)


@pytest.mark.parametrize(
    ("settlements", "because"),
    [
        ((settlement("acme", Decimal("1.004"), 100),), "add up to 1.005"),
        ((settlement("acme", Decimal("1.005"), 102),), "a whole minor unit or more away"),
        ((settlement("globex", Decimal("1.005"), 100),), "has no settlement"),
        ((settlement("acme", Decimal("1.005"), 100),) * 2, "settled twice"),
        (
            (settlement("acme", Decimal("1.005"), 100), settlement("globex", Decimal(1), 100)),
            "add up to 0",
        ),
    ],
)
def test_a_statement_that_does_not_add_up_cannot_be_built(
    settlements: tuple[Settlement, ...], because: str
) -> None:
    with pytest.raises(StatementDoesNotAdd, match=because):
        statement((line("acme", 1_005 * 10**9),), settlements)


def test_the_statements_of_all_cost_centres_are_the_bills() -> None:
    one = statement((line("acme", 10**12),), (settlement("acme", Decimal(1), 100),))
    assert_covers([one, one], {"USD": 200})
    with pytest.raises(StatementDoesNotAdd, match=r"the bills to 2\.01"):
        assert_covers([one, one], {"USD": 201})
    with pytest.raises(StatementDoesNotAdd, match="EUR"):
        assert_covers([one, one], {"USD": 200, "EUR": 5})


def test_the_digest_covers_amounts_and_not_the_state() -> None:
    drawn = statement((line("acme", 10**12),), (settlement("acme", Decimal(1), 100),))
    assert replace(drawn, state="closed").digest == drawn.digest
    other = statement(
        (line("acme", 10**12 + 1),), (settlement("acme", Decimal("1.000000000001"), 100),)
    )
    assert other.digest != drawn.digest
    assert replace(drawn, evidence=EvidenceReference(1, "cc", "")).digest != drawn.digest
