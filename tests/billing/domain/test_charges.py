from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.allowances import allowance_of, included_of
from billing.domain.charges import Line, NegativeUsage, Use, charge
from billing.domain.cycles import Cycle
from billing.domain.invoicing import line_content, rounding_of, settle_lines
from billing.domain.plans import Charge, PerUnit, Plan, Scope
from metering.domain.cells import TOKEN_CLASSES
from metering.domain.digests import digest_of
from metering.domain.money import from_minor
from tests.billing.domain.readings import OCTOBER, Reading, per_unit_plan


def of_kind(lines: tuple[Line, ...], kind: str) -> Line:
    (line,) = (x for x in lines if x.kind == kind)
    return line


def total_minor(plan: Plan, *usage: Reading, cycle: Cycle = OCTOBER) -> int:
    return settle_lines(charge(usage, plan, cycle).lines, plan.currency).total_minor


def test_stripes_example_of_an_allowance_with_overage() -> None:
    """$4 for 100,000 tokens, $0.000065 for each after them, 100,070 used (insiders.stripe.dev)."""
    plan = per_unit_plan("0.000065", included=100_000, fee="4")
    lines = charge([Reading(Decimal(100_070))], plan, OCTOBER).lines
    assert [(x.kind, x.quantity, x.amount) for x in lines] == [
        ("fee", Decimal(31), Decimal(4)),
        ("allowance", Decimal(100_000), Decimal(0)),
        ("overage", Decimal(70), Decimal("0.00455")),
    ]
    assert sum(x.amount for x in lines) == Decimal("4.00455")
    settled = settle_lines(lines, "USD")
    assert [x.amount_minor for x in settled.lines] == [400, 0, 0]
    assert settled.total_minor == 400
    assert rounding_of(settled) == Decimal("-0.00455")


@pytest.mark.parametrize(
    ("fee", "currency", "first", "end", "full", "minor"),
    [
        ("100", "EUR", date(2026, 1, 1), date(2026, 1, 15), 31, 4516),
        ("200", "EUR", date(2026, 1, 15), date(2026, 2, 1), 31, 10968),
        ("50", "USD", date(2026, 3, 8), date(2026, 4, 1), 31, 3871),
        ("300", "USD", date(2026, 4, 30), date(2026, 5, 1), 30, 1000),
        ("600", "USD", date(2026, 4, 30), date(2026, 5, 1), 30, 2000),
        ("10", "USD", date(2026, 6, 17), date(2026, 6, 20), 30, 100),
        ("10", "USD", date(2026, 7, 20), date(2026, 8, 17), 31, 903),
        ("3650", "JPY", date(2026, 10, 2), date(2026, 11, 1), 31, 3532),
        ("1.000", "KWD", date(2026, 10, 1), date(2026, 10, 2), 31, 32),
    ],
)
def test_a_fee_is_due_by_days(
    fee: str, currency: str, first: date, end: date, full: int, minor: int
) -> None:
    """Published proration examples of Lago, Meteroid and Kill Bill, and other currencies."""
    plan = per_unit_plan("1", fee=fee, currency=currency)
    assert total_minor(plan, cycle=Cycle(first, end, "UTC", full)) == minor


@pytest.mark.parametrize(
    ("unit_price", "quantity", "currency", "minor"),
    [
        ("4.4556", "10.625", "USD", 4734),
        ("4.4556", "10.625", "JPY", 47),
        ("0.01", "0.5", "USD", 0),
        ("0.01", "1.5", "USD", 2),
        ("0.01", "2.5", "USD", 2),
    ],
)
def test_amounts_settle_half_to_even_in_the_currencys_minor_unit(
    unit_price: str, quantity: str, currency: str, minor: int
) -> None:
    """The first two are Chargebee's published rounding example."""
    plan = per_unit_plan(unit_price, currency=currency)
    assert total_minor(plan, Reading(Decimal(quantity))) == minor


def test_late_usage_costs_what_it_would_have_cost_in_time() -> None:
    """OpenMeter's example: unit price 10, 3 units billed, a fourth arrives late: 10 more."""
    plan = per_unit_plan("10")
    before = total_minor(plan, Reading(Decimal(3)))
    after = total_minor(plan, Reading(Decimal(3)), Reading(Decimal(1)))
    assert (before, after - before) == (3000, 1000)


def test_an_overage_line_says_whose_use_it_is() -> None:
    plan = per_unit_plan("2.50", included=1_000, per=1_000_000)
    usage = [
        Reading(Decimal(3_000), model="gpt-4o", token_class="output"),
        Reading(Decimal(1_000), model="gpt-4o-mini", endpoint_tag="search"),
    ]
    lines = charge(usage, plan, OCTOBER).lines
    assert [(p.use, p.quantity) for p in of_kind(lines, "allowance").parts] == [
        (Use("gpt-4o", "chat"), Decimal(750)),
        (Use("gpt-4o-mini", "search"), Decimal(250)),
    ]
    overage = of_kind(lines, "overage")
    assert [(p.use, p.quantity, p.amount) for p in overage.parts] == [
        (Use("gpt-4o", "chat"), Decimal(2_250), Decimal("0.005625")),
        (Use("gpt-4o-mini", "search"), Decimal(750), Decimal("0.001875")),
    ]
    assert overage.description == (
        "Tokens: 3,000 tokens above the 1,000 included at USD 2.5 per 1,000,000 tokens"
    )


def test_no_overage_is_a_line_that_says_so() -> None:
    lines = charge([Reading(Decimal(10))], per_unit_plan("1", included=10), OCTOBER).lines
    overage = of_kind(lines, "overage")
    assert (overage.quantity, overage.amount, overage.parts) == (Decimal(0), Decimal(0), ())


def test_no_usage_is_still_an_invoice_with_its_fee() -> None:
    lines = charge([], per_unit_plan("1", included=10, fee="49"), OCTOBER).lines
    assert [(x.kind, x.amount) for x in lines] == [
        ("fee", Decimal(49)),
        ("allowance", Decimal(0)),
        ("overage", Decimal(0)),
    ]


def test_only_what_the_plan_states_is_charged_and_the_rest_is_named() -> None:
    plan = per_unit_plan("1")
    usage = [
        Reading(Decimal(1)),
        Reading(Decimal(2), served_from="caller_cache"),
        Reading(Decimal(4), data_mode="test"),
        Reading(Decimal(8), environment="staging"),
        Reading(Decimal(16), status="error"),
        Reading(Decimal(32), token_class="web_search"),
    ]
    charged = charge(usage, plan, OCTOBER)
    assert of_kind(charged.lines, "overage").quantity == 3
    assert {(u.reason, u.token_class): u.quantity for u in charged.uncharged} == {
        ("data_mode", "input"): 4,
        ("environment", "input"): 8,
        ("status", "input"): 16,
        ("no_charge", "web_search"): 32,
    }


def test_a_plan_may_charge_failures_and_spare_cache_hits() -> None:
    plan = per_unit_plan("1")
    scope = Scope(statuses=frozenset({"success", "error"}), served_from=frozenset({"provider"}))
    stated = Plan(code="p", name="P", currency="USD", charges=plan.charges, scope=scope)
    usage = [Reading(Decimal(2), served_from="caller_cache"), Reading(Decimal(16), status="error")]
    assert of_kind(charge(usage, stated, OCTOBER).lines, "overage").quantity == 16


def test_what_earlier_charges_leave_goes_to_the_rest() -> None:
    def priced(code: str, price: str, **terms: object) -> Charge:
        return Charge(
            code=code,
            name=code,
            meter="tokens",
            price=PerUnit(unit_price=Decimal(price)),
            **terms,  # type: ignore[arg-type]
        )

    plan = Plan(
        code="p",
        name="P",
        currency="USD",
        charges=(priced("large", "3", models=("gpt-4o",)), priced("others", "1", rest=True)),
    )
    usage = [Reading(Decimal(5), model="gpt-4o"), Reading(Decimal(7), model="gpt-4o-mini")]
    lines = charge(usage, plan, OCTOBER).lines
    assert [(x.charge_code, x.amount) for x in lines if x.kind == "overage"] == [
        ("large", Decimal(15)),
        ("others", Decimal(7)),
    ]


@pytest.mark.parametrize(
    ("prorate", "expected"), [(True, 709_677), (False, 1_000_000)], ids=["prorated", "in full"]
)
def test_the_allowance_of_a_short_cycle(*, prorate: bool, expected: int) -> None:
    cycle = Cycle(date(2026, 10, 10), date(2026, 11, 1), "UTC", 31)
    assert allowance_of(1_000_000, cycle, prorate=prorate) == expected


def test_usage_below_zero_is_not_charged_but_reported() -> None:
    usage = [Reading(Decimal(5)), Reading(Decimal(-6))]
    with pytest.raises(NegativeUsage, match="'tokens' reads -1 tokens of 'gpt-4o-mini'"):
        charge(usage, per_unit_plan("1"), OCTOBER)


def test_a_correction_of_what_is_not_charged_is_told_with_its_sign() -> None:
    tried_out = Reading(Decimal(-5), environment="staging")
    (left,) = charge([tried_out], per_unit_plan("1"), OCTOBER).uncharged
    assert (left.reason, left.quantity) == ("environment", Decimal(-5))


def test_a_correction_that_cancels_usage_leaves_no_trace() -> None:
    usage = [Reading(Decimal(5)), Reading(Decimal(-5))]
    assert charge(usage, per_unit_plan("1"), OCTOBER).metered[0].uses == {}


QUANTITIES = st.decimals(0, 10**9, places=2) | st.integers(0, 10**12).map(Decimal)
READINGS = st.builds(
    Reading,
    quantity=QUANTITIES,
    model=st.sampled_from(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "o3"]),
    token_class=st.sampled_from([*TOKEN_CLASSES, "requests", "web_search"]),
    endpoint_tag=st.sampled_from(["", "chat", "search"]),
    data_mode=st.sampled_from(["real", "real", "test"]),
    status=st.sampled_from(["success", "success", "error"]),
)
USAGES = st.lists(READINGS, max_size=12)
PRICES = st.decimals(0, 1000, places=6)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    def priced(code: str, meter: str | frozenset[str], **terms: object) -> Charge:
        price = PerUnit(
            unit_price=draw(PRICES), per=draw(st.sampled_from([1, 1000, 1_000_000, 64]))
        )
        return Charge(
            code=code,
            name=code,
            meter=meter,
            price=price,
            included=draw(st.integers(0, 10**10)),
            **terms,  # type: ignore[arg-type]
        )

    return Plan(
        code="p",
        name="P",
        currency=draw(st.sampled_from(["USD", "JPY", "KWD"])),
        fee=Decimal(draw(st.integers(0, 1000))),
        prorate_allowance=draw(st.booleans()),
        charges=(
            priced("output", frozenset({"output"}), models=("gpt-4o*",)),
            priced("tokens", "tokens", rest=True),
            priced("requests", "requests"),
        ),
    )


CYCLES = st.builds(
    lambda first, days: Cycle(
        date(2026, 10, first), date.fromordinal(date(2026, 10, first).toordinal() + days), "UTC", 31
    ),
    st.integers(1, 31),
    st.integers(1, 31),
)


@given(USAGES, plans(), CYCLES)
def test_what_is_included_and_what_is_over_add_up_to_what_was_used(
    usage: list[Reading], plan: Plan, cycle: Cycle
) -> None:
    charged = charge(usage, plan, cycle)
    for reading in charged.metered:
        mine = [x for x in charged.lines if x.charge_code == reading.charge.code]
        assert sum(x.quantity for x in mine) == reading.quantity
        by_use: dict[Use, Decimal] = {}
        for part in (p for x in mine for p in x.parts):
            assert part.quantity > 0
            by_use[part.use] = by_use.get(part.use, Decimal(0)) + part.quantity
        assert by_use == dict(reading.uses)
        included = sum(x.quantity for x in mine if x.kind == "allowance")
        allowance = allowance_of(reading.charge.included, cycle, prorate=plan.prorate_allowance)
        assert included == min(Decimal(allowance), reading.quantity)
    assert sum(m.quantity for m in charged.metered) + sum(
        u.quantity for u in charged.uncharged
    ) == sum(r.quantity for r in usage)


@given(USAGES, plans(), CYCLES)
def test_the_total_is_the_sum_of_settled_lines_near_the_exact_sum(
    usage: list[Reading], plan: Plan, cycle: Cycle
) -> None:
    lines = charge(usage, plan, cycle).lines
    settled = settle_lines(lines, plan.currency)
    assert settled.total_minor == sum(x.amount_minor for x in settled.lines)
    half = from_minor(1, plan.currency) / 2
    assert abs(rounding_of(settled)) <= half * len(lines)


@given(USAGES, plans(), CYCLES, st.randoms(use_true_random=False))
def test_neither_order_nor_splitting_of_readings_changes_a_digit(
    usage: list[Reading], plan: Plan, cycle: Cycle, chance: random.Random
) -> None:
    whole = settle_lines(charge(usage, plan, cycle).lines, plan.currency)
    pieces: list[Reading] = []
    for reading in usage:
        first = (reading.quantity * chance.randint(0, 4) / 4).quantize(Decimal("0.01"))
        pieces += [
            replace(reading, quantity=first),
            replace(reading, quantity=reading.quantity - first),
        ]
    chance.shuffle(pieces)
    again = settle_lines(charge(pieces, plan, cycle).lines, plan.currency)
    assert again == whole
    assert digest_of([line_content(x) for x in again.lines]) == digest_of(
        [line_content(x) for x in whole.lines]
    )


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), QUANTITIES, max_size=6),
    st.integers(0, 10**12),
)
def test_an_allowance_is_shared_in_proportion_to_use(
    used: dict[str, Decimal], allowance: int
) -> None:
    included = included_of(used, allowance)
    total = sum(used.values())
    assert sum(included.values()) == min(Decimal(allowance), total)
    for key, part in included.items():
        assert 0 <= part <= used[key]
        if total:
            exact = min(Decimal(allowance), total) * used[key] / total
            assert abs(part - exact) < 1


@given(USAGES, plans(), READINGS)
def test_more_use_never_costs_less(usage: list[Reading], plan: Plan, more: Reading) -> None:
    def exact(readings: list[Reading]) -> Decimal:
        return sum((x.amount for x in charge(readings, plan, OCTOBER).lines), Decimal(0))

    assert exact([*usage, more]) >= exact(usage)
