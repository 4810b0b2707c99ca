from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.cells import Owner
from metering.domain.money import EXACT
from metering.domain.rollup import ClassCost, Deltas, parts, unit_parts
from metering.domain.usage import COUNTS, Share, UsageEvent
from tests.metering.events import call

OWNER = Owner("cc", "acme")

SharedCall: TypeAlias = tuple[UsageEvent, tuple[ClassCost, ...]]


@st.composite
def shared_calls(draw: st.DrawFn) -> SharedCall:
    """A shared call whose shares leave something or nothing, with costs per class."""
    ins = draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
    outs = draw(st.lists(st.integers(0, 10_000), min_size=len(ins), max_size=len(ins)))
    left_in, left_out = draw(st.integers(0, 5_000)), draw(st.integers(0, 5_000))
    total_in, total_out = sum(ins) + left_in, sum(outs) + left_out
    cached = draw(st.integers(0, total_in))
    event = call(
        input_tokens=total_in,
        cached_input_tokens=cached,
        output_tokens=total_out,
        shares=tuple(
            Share(tenant_id=f"t{i}", input_tokens=a, output_tokens=b)
            for i, (a, b) in enumerate(zip(ins, outs, strict=True))
        ),
    )
    price = st.decimals(0, 100, places=12)
    quantities: tuple[tuple[str, int | Decimal], ...] = (
        ("input", total_in - cached),
        ("cache_read", cached),
        ("output", total_out),
        ("web_search", Decimal(draw(st.integers(0, 9)))),
    )
    classes = tuple(
        (name, quantity, None if draw(st.booleans()) else quantity * draw(price))
        for name, quantity in quantities
    )
    return event, classes


@given(shared_calls())
def test_the_parts_of_a_shared_call_sum_to_the_call(made: SharedCall) -> None:
    event, classes = made
    owners = tuple(Owner("cc", s.tenant_id) for s in event.shares)
    found = list(parts(event, OWNER, owners, classes))
    assert sum(part.events for part in found) == 1
    for i, name in enumerate(COUNTS):
        assert sum(part.counts[i] for part in found) == (getattr(event, name) or 0)
    for i, (_, quantity, cost) in enumerate(classes):
        assert sum(part.classes[i][1] for part in found) == quantity
        costs = [part.classes[i][2] for part in found]
        if cost is not None:
            assert None not in costs
            assert sum(c for c in costs if c is not None) == cost
        else:
            assert all(c is None for c in costs)


@given(shared_calls())
def test_each_share_has_its_own_tokens(made: SharedCall) -> None:
    event, classes = made
    owners = tuple(Owner("cc", s.tenant_id) for s in event.shares)
    found = list(parts(event, OWNER, owners, classes))
    for part, share in zip(found, event.shares, strict=False):
        assert part.owner.tenant == share.tenant_id
        assert part.counts[COUNTS.index("input_tokens")] == share.input_tokens
        assert part.counts[COUNTS.index("output_tokens")] == share.output_tokens


quantities = st.one_of(
    st.integers(0, 10**6).map(Decimal), st.decimals(0, 10**6, places=9), st.just(Decimal("1E+3"))
)


@given(
    shared_calls(), st.dictionaries(st.sampled_from(("web_search", "audio_seconds")), quantities)
)
def test_units_are_divided_once_for_whoever_asks(
    made: SharedCall, units: dict[str, Decimal]
) -> None:
    event, _ = made
    owners = tuple(Owner("cc", s.tenant_id) for s in event.shares)
    tokens = event.input_tokens or 0, event.output_tokens or 0
    found = unit_parts(units, event.shares, *tokens)
    assert len(found) == len(owners) + 1
    weights = [s.input_tokens + s.output_tokens for s in event.shares]
    weights.append(sum(tokens) - sum(weights))
    for name, quantity in units.items():
        assert sum(part[name] for part in found) == quantity
        if quantity == quantity.to_integral_value():
            assert all(part[name] == part[name].to_integral_value() for part in found)
        for part, weight in zip(found, weights, strict=True):
            exact = Fraction(quantity) * weight / (sum(tokens) or 1)
            assert sum(tokens) == 0 or abs(Fraction(part[name]) - exact) < 1
    as_classes = tuple((name, quantity, None) for name, quantity in units.items())
    divided = parts(event, OWNER, owners, as_classes)
    for of_owner, of_units in zip(divided, found, strict=True):
        assert {name: quantity for name, quantity, _ in of_owner.classes} == of_units


def test_every_count_is_divided_by_the_tokens_of_its_side() -> None:
    """All of the input is globex's, all of the output the event's own tenant's."""
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 100)
    event = call(**counts, shares=(Share(tenant_id="globex", input_tokens=100, output_tokens=0),))
    globex, acme = parts(event, OWNER, (Owner("cc", "globex"),), ())
    out = {name for name, count in zip(COUNTS, acme.counts, strict=True) if count == 100}
    assert out == {
        "output_tokens",
        "reasoning_tokens",
        "audio_output_tokens",
        "image_output_tokens",
    }
    assert [a + b for a, b in zip(globex.counts, acme.counts, strict=True)] == [100] * len(COUNTS)


def test_of_equal_remainders_the_earlier_share_has_the_unit() -> None:
    shares = (
        Share(tenant_id="t0", input_tokens=10, output_tokens=0),
        Share(tenant_id="t1", input_tokens=0, output_tokens=10),
    )
    found = unit_parts({"web_search": Decimal(1), "seconds": Decimal("0.5")}, shares, 15, 15)
    assert [part["web_search"] for part in found] == [1, 0, 0]
    sixth = Decimal("0.166666666666666666")
    assert [part["seconds"] for part in found] == [
        sixth + Decimal("1e-18"),
        sixth + Decimal("1e-18"),
        sixth,
    ]


def test_what_cannot_be_divided_stays_with_the_events_own_owner() -> None:
    event = call(
        input_tokens=0,
        cached_input_tokens=None,
        output_tokens=0,
        shares=(Share(tenant_id="t0", input_tokens=0, output_tokens=0),),
    )
    classes = (("web_search", Decimal(2), Decimal("0.02")),)
    shared, own = parts(event, OWNER, (Owner("cc", "t0"),), classes)
    assert shared.classes == (("web_search", Decimal(0), Decimal(0)),)
    assert own.classes == classes


@given(st.integers(1, 10**40), st.integers(19, 30))
def test_a_cost_finer_than_the_scale_is_divided_to_its_last_digit(
    units: int, decimals: int
) -> None:
    event = call(
        input_tokens=7,
        cached_input_tokens=None,
        shares=(Share(tenant_id="t0", input_tokens=4, output_tokens=0),),
    )
    cost = EXACT.scaleb(units, -decimals)
    divided = parts(event, OWNER, (Owner("cc", "t0"),), (("input", 7, cost),))
    costs = [of_class for part in divided for _, _, of_class in part.classes]
    shared, own = [c for c in costs if c is not None]
    assert EXACT.add(shared, own) == cost
    assert abs(Fraction(shared) - Fraction(cost) * 4 / 7) < Fraction(1, 10**18)


def test_amounts_of_more_digits_than_a_decimal_has_by_default_add_up_exactly() -> None:
    deltas = Deltas()
    deltas["a"] += [
        (1, Decimal("123456789012345678901234.5")),
        (2, Decimal("0.000000000000000001")),
    ]
    ((_, sums),) = deltas.sums()
    assert tuple(sums) == (3, Decimal("123456789012345678901234.500000000000000001"))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.decimals(-9, 9, places=3)), max_size=30))
def test_deltas_sum_exactly_per_cell(entries: list[tuple[str, Decimal]]) -> None:
    deltas = Deltas()
    for letter, amount in entries:
        deltas[letter].append((1, amount))
    rows = {key: (n, total) for key, (n, total) in deltas.sums()}
    taken = {key: (n, total) for key, (n, total) in deltas.sums(-1)}
    assert {key for key, _ in entries} == set(rows)
    for key, (n, total) in rows.items():
        mine = [amount for k, amount in entries if k == key]
        assert (n, total) == (len(mine), sum(mine))
        assert taken[key] == (-n, -total)


def test_whole_and_broken_quantities_of_a_cell_add_up_exactly() -> None:
    deltas = Deltas()
    for quantity in (1, Decimal("1e-30"), Decimal("1e25"), 2):
        deltas["a"].append((quantity,))
    [(_, [total])] = deltas.sums()
    assert total == Decimal("10000000000000000000000003.000000000000000000000000000001")
