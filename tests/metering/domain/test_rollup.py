from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.cells import Owner
from metering.domain.rollup import Deltas, parts
from metering.domain.usage import COUNTS, Share
from tests.metering.events import call

OWNER = Owner("cc", "acme")


@st.composite
def shared_calls(draw: st.DrawFn):
    """A shared call whose shares leave something or nothing, with costs per class."""
    ins = draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
    outs = draw(st.lists(st.integers(0, 10_000), min_size=len(ins), max_size=len(ins)))
    left_in, left_out = draw(st.integers(0, 5_000)), draw(st.integers(0, 5_000))
    event = call(
        input_tokens=sum(ins) + left_in,
        cached_input_tokens=draw(st.integers(0, sum(ins) + left_in)),
        output_tokens=sum(outs) + left_out,
        shares=tuple(
            Share(tenant_id=f"t{i}", input_tokens=a, output_tokens=b)
            for i, (a, b) in enumerate(zip(ins, outs, strict=True))
        ),
    )
    price = st.decimals(0, 100, places=12)
    classes = tuple(
        (name, quantity, None if draw(st.booleans()) else quantity * draw(price))
        for name, quantity in (
            ("input", event.input_tokens - event.cached_input_tokens),
            ("cache_read", event.cached_input_tokens),
            ("output", event.output_tokens),
            ("web_search", Decimal(draw(st.integers(0, 9)))),
        )
    )
    return event, classes


@given(shared_calls())
def test_the_parts_of_a_shared_call_sum_to_the_call(made) -> None:
    event, classes = made
    owners = tuple(Owner("cc", s.tenant_id) for s in event.shares)
    found = list(parts(event, OWNER, owners, classes))
    assert sum(part.events for part in found) == 1
    for i, name in enumerate(COUNTS):
        assert sum(part.counts[i] for part in found) == (getattr(event, name) or 0)
    for i, (_, quantity, cost) in enumerate(classes):
        assert sum(part.classes[i][1] for part in found) == quantity
        if cost is not None:
            assert sum(part.classes[i][2] for part in found) == cost
        else:
            assert all(part.classes[i][2] is None for part in found)


@given(shared_calls())
def test_each_share_has_its_own_tokens(made) -> None:
    event, classes = made
    owners = tuple(Owner("cc", s.tenant_id) for s in event.shares)
    found = list(parts(event, OWNER, owners, classes))
    for part, share in zip(found, event.shares, strict=False):
        assert part.owner.tenant == share.tenant_id
        assert part.counts[COUNTS.index("input_tokens")] == share.input_tokens
        assert part.counts[COUNTS.index("output_tokens")] == share.output_tokens


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


@given(st.lists(st.tuples(st.sampled_from("abc"), st.decimals(-9, 9, places=3)), max_size=30))
def test_deltas_sum_exactly_per_cell(entries) -> None:
    deltas = Deltas()
    for key, amount in entries:
        deltas.add((key,), (1, amount))
    rows = {key: (n, total) for key, n, total in deltas.rows()}
    assert {key for key, _ in entries} == set(rows)
    for key, (n, total) in rows.items():
        mine = [amount for k, amount in entries if k == key]
        assert (n, total) == (len(mine), sum(mine))
