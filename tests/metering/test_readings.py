from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.charged_usage import charged_usage, charged_usages
from metering.domain.cells import Owner
from metering.domain.digests import list_digest
from metering.domain.drivers import DriverQuery
from metering.domain.periods import Month, Period
from metering.domain.usage import Share
from metering.driver_readings import UnknownDriver, driver_reading, driver_readings
from metering.evidence import Selection, event_keys, evidence, evidence_for
from metering.ingestion import ingest
from metering.readings import (
    day_costs,
    features,
    metered_cells,
    metered_usage,
    owner_days,
    usage_digest,
)
from metering.rollups import NotOnABucket, fold
from metering.verification import share_verification
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.parse("2026-10").period
ACME, GLOBEX = Owner("unallocated", "acme"), Owner("unallocated", "globex")
GLOBEX_OCTOBER = ("globex", OCTOBER)

READINGS = (metered_cells, day_costs, owner_days, usage_digest, features)

pytestmark = pytest.mark.django_db


def test_cells_hold_disjoint_classes_with_their_cost() -> None:
    ingest([call(), call("r2", model="nobody-prices-this")], now=NOW)
    cells = {(c.cell.model, c.cell.token_class): c for c in metered_cells(OCTOBER)}
    assert cells["gpt-4o-mini", "input"].quantity == 700
    assert cells["gpt-4o-mini", "input"].cost == Decimal("0.000105")
    assert cells["gpt-4o-mini", "cache_read"].quantity == 300
    assert cells["gpt-4o-mini", "output"].cost == Decimal("0.00012")
    unpriced = cells["nobody-prices-this", "input"]
    assert unpriced.cost is None
    assert unpriced.quantity == 700
    assert unpriced.events == 1


def test_what_an_advisor_did_is_in_the_cells_that_bill_it() -> None:
    usage = (
        b'{"input_tokens":200,"output_tokens":30,"iterations":['
        b'{"type":"message","input_tokens":200,"output_tokens":30},'
        b'{"type":"advisor_message","model":"claude-opus-4-5","input_tokens":500,'
        b'"output_tokens":7}]}'
    )
    ingest(
        [
            call(
                provider="anthropic",
                model="claude-sonnet-4-5",
                input_tokens=200,
                cached_input_tokens=None,
                output_tokens=30,
                usage=usage.decode(),
                usage_format="anthropic",
                tenant_id=None,
                shares=(Share(tenant_id="acme", input_tokens=200, output_tokens=0),),
            ),
            call("r2", provider="anthropic", model="claude-opus-4-5", cached_input_tokens=None),
        ],
        now=NOW,
    )
    cells: list[tuple[object, ...]] = [
        (c.cell.model, c.cell.token_class, c.owner.tenant, c.quantity, c.cost)
        for c in metered_cells(OCTOBER)
        if c.quantity
    ]
    assert cells == [
        ("claude-opus-4-5", "input", "acme", 1000, Decimal("0.005")),
        ("claude-opus-4-5", "input", "acme", 500, Decimal("0.0025")),
        ("claude-opus-4-5", "output", "", 7, Decimal("0.000175")),
        ("claude-opus-4-5", "output", "acme", 200, Decimal("0.005")),
        ("claude-sonnet-4-5", "input", "acme", 200, Decimal("0.0006")),
        ("claude-sonnet-4-5", "output", "", 30, Decimal("0.00045")),
    ]
    assert list(share_verification.check(OCTOBER)) == []


def test_costs_by_day_are_those_of_the_cells() -> None:
    ingest([call(), call("r2", model="nobody-prices-this")], now=NOW)
    found = day_costs(OCTOBER)
    cells = metered_cells(OCTOBER)
    assert {c[:2] for c in found} == {(c.cell.provider, c.cell.day) for c in cells}
    assert {c.currency: c.cost for c in found if c.cost} == {
        "USD": sum(c.cost for c in cells if c.cost is not None)
    }


def test_days_of_an_owner_are_those_of_its_cells() -> None:
    shares = (Share(tenant_id="globex", input_tokens=600, output_tokens=100),)
    ingest(
        [
            call(shares=shares, units={"nobody_prices_this": Decimal(1)}),
            call("r2", model="nobody-prices-this", tenant_id="globex"),
            call("r3", occurred_at=NOON + timedelta(days=1)),
        ],
        now=NOW,
    )
    cells: dict[tuple[object, ...], Decimal] = {}
    for c in metered_cells(OCTOBER):
        key = (c.owner, c.cell.day, c.cell.model, c.currency, c.cost is None)
        cells[key] = cells.get(key, Decimal(0)) + (c.cost or 0)
    found = owner_days(OCTOBER)
    assert {(*day[:4], day.cost is None): day.cost or Decimal(0) for day in found} == cells
    assert len(found) == len(cells) == 6
    assert owner_days(OCTOBER, tenant="globex") == [d for d in found if d.owner == GLOBEX]
    assert owner_days(OCTOBER, cost_centre="unallocated") == found
    assert owner_days(OCTOBER, cost_centre="cc-nowhere") == []
    assert features(OCTOBER, tenant="acme") == [f for f in features(OCTOBER) if f.owner == ACME]


def test_a_shared_call_counts_for_each_owner_what_it_used() -> None:
    shares = (Share(tenant_id="globex", input_tokens=400, output_tokens=50),)
    ingest([call(shares=shares)], now=NOW)
    tokens = driver_reading(OCTOBER, "tokens")
    assert tokens == {(ACME, ""): 750, (GLOBEX, ""): 450}
    assert driver_reading(OCTOBER, "requests") == {(ACME, ""): 1}
    cost = driver_reading(OCTOBER, "metered_cost")
    assert sum(cost.values()) == Decimal("0.0002475")
    assert cost[GLOBEX, ""] == Decimal("0.000081")  # 40 % of the input side, 25 % of the output
    assert evidence(Selection(period=OCTOBER, tenant="globex")).count == 1


def test_drivers_by_model_and_endpoint_and_their_filters() -> None:
    ingest(
        [
            call("a", user_id="u1"),
            call("b", user_id="u1", model_executed="gpt-4o"),
            call("c", user_id="u2", endpoint_tag="other", tenant_id="globex"),
            call("d", anon_id="x"),
        ],
        now=NOW,
    )
    wanted = {
        DriverQuery("requests", by="owner_model"): {
            (ACME, "gpt-4o"): 1,
            (ACME, "gpt-4o-mini"): 2,
            (GLOBEX, "gpt-4o-mini"): 1,
        },
        DriverQuery("requests", endpoint_tags=("other",), by="owner_endpoint"): {
            (GLOBEX, "other"): 1
        },
        DriverQuery("requests", models=("gpt-4o",)): {(ACME, ""): 1},
        DriverQuery("requests", models=("gpt-4o", "gpt-5")): {(ACME, ""): 1},
        DriverQuery("requests", providers=("anthropic",)): {},
        DriverQuery("input_tokens", providers=("openai",), tiers=("standard",)): {
            (ACME, ""): 3000,
            (GLOBEX, ""): 1000,
        },
        DriverQuery("output_tokens", tiers=("flex",)): {},
        DriverQuery("active_users"): {(ACME, ""): 1, (GLOBEX, ""): 1},
    }
    assert driver_readings(OCTOBER, wanted) == wanted
    for query, reading in wanted.items():
        assert driver_readings(OCTOBER, [query]) == {query: reading}
    for query in (DriverQuery("seats"), DriverQuery("active_users", models=("gpt-4o",))):
        with pytest.raises(UnknownDriver, match=query.driver):
            driver_readings(OCTOBER, [query])


def test_charged_usage_is_by_the_model_asked_for() -> None:
    ingest([call("a", model_executed="gpt-4o", units={"web_search": Decimal(2)})], now=NOW)
    lines = {line.token_class: line for line in charged_usage("acme", OCTOBER)}
    assert {line.model for line in lines.values()} == {"gpt-4o-mini"}
    assert {name: line.quantity for name, line in lines.items()} == {
        "requests": 1, "input": 700, "cache_read": 300, "output": 200, "web_search": 2,
    }  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), max_size=3),
            st.one_of(st.integers(0, 7).map(Decimal), st.decimals(0, 9, places=3)),
        ),
        max_size=6,
    )
)
def test_units_of_calls_are_charged_once_and_wholly(
    spec: list[tuple[int, list[tuple[int, int]], Decimal]],
) -> None:
    everybody = [(f"t{i}", OCTOBER) for i in range(4)]

    def charged() -> Decimal:
        lines = [x for of in charged_usages(everybody).values() for x in of]
        return sum((x.quantity for x in lines if x.token_class == "seconds"), Decimal(0))

    before, salt = charged(), evidence(Selection(period=OCTOBER)).count
    events = [
        call(
            f"{salt}-{i}",
            tenant_id=f"t{owner}",
            input_tokens=100,
            cached_input_tokens=None,
            units={"seconds": quantity},
            shares=tuple(
                Share(tenant_id=f"t{tenant}", input_tokens=n, output_tokens=n)
                for tenant, n in shares
            ),
        )
        for i, (owner, shares, quantity) in enumerate(spec)
    ]
    assert {x.outcome for x in ingest(events, now=NOW)} <= {"accepted"}
    assert charged() - before == sum((q for *_, q in spec), Decimal(0))


def test_units_of_a_shared_call_are_charged_to_those_who_share_it() -> None:
    shares = (Share(tenant_id="globex", input_tokens=600, output_tokens=100),)
    ingest(
        [
            call(shares=shares, units={"web_search": Decimal(5)}),
            call("own", units={"web_search": Decimal(1)}),
        ],
        now=NOW,
    )
    found = {
        tenant: [(x.quantity, x.events) for x in lines if x.token_class == "web_search"]
        for (tenant, _), lines in charged_usages([("acme", OCTOBER), GLOBEX_OCTOBER]).items()
    }
    # 7 of 12 parts of five: 2 and eleven twelfths
    assert found == {"acme": [(Decimal(3), 2)], "globex": [(Decimal(3), 0)]}
    assert charged_usages([GLOBEX_OCTOBER]) == {GLOBEX_OCTOBER: charged_usage(*GLOBEX_OCTOBER)}
    metered = {
        cell.owner.tenant: cell.quantity
        for cell in metered_cells(OCTOBER)
        if cell.cell.token_class.startswith("web_search")
    }
    assert metered == {"acme": 3, "globex": 3}


def test_a_cycle_is_cut_at_quarters_of_an_hour() -> None:
    kolkata = Period(
        datetime(2026, 9, 30, 18, 30, tzinfo=UTC), datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
    )
    ingest(
        [
            call("before", occurred_at=kolkata.start - timedelta(seconds=1)),
            call("first", occurred_at=kolkata.start),
            call("last", occurred_at=kolkata.end - timedelta(microseconds=1)),
            call("after", occurred_at=kolkata.end),
        ],
        now=NOW,
    )
    requests = [x for x in charged_usage("acme", kolkata) if x.token_class == "requests"]
    assert [line.quantity for line in requests] == [2]
    assert evidence(Selection(period=kolkata, tenant="acme")).count == 2
    with pytest.raises(NotOnABucket, match="quarter"):
        charged_usage("acme", Period(kolkata.start + timedelta(minutes=1), kolkata.end))


def test_cycles_that_are_read_together_are_what_each_is_alone() -> None:
    edges = [NOON + timedelta(hours=6 * i) for i in range(5)]
    shares = (Share(tenant_id="globex", input_tokens=600, output_tokens=100),)
    ingest(
        [call(f"{i}-{j}", occurred_at=edge + timedelta(seconds=j), tenant_id=tenant, shares=of,
              units={"web_search": Decimal(2)})
         for i, edge in enumerate(edges[:-1])
         for j, tenant, of in ((-1, "acme", ()), (0, "acme", shares), (1, "globex", ()))],
        now=NOW,
    )  # fmt: skip
    cycles = [
        (tenant, Period(start, end))
        for start, end in combinations(edges, 2)
        for tenant in ("acme", "globex", "nobody")
    ]
    together = charged_usages(cycles)
    assert together == {cycle: charged_usage(*cycle) for cycle in cycles}
    assert charged_usages([]) == {}
    searches = {
        tenant: [x.quantity for x in together[tenant, Period(edges[0], edges[1])]
                 if x.token_class == "web_search"]
        for tenant in ("acme", "globex", "nobody")
    }  # fmt: skip
    assert searches == {"acme": [3], "globex": [3], "nobody": []}


def test_folding_changes_no_reading() -> None:
    ingest([call(f"r{i}", user_id=f"u{i}") for i in range(30)], now=NOW)
    before = [read(OCTOBER) for read in READINGS]
    assert fold() == {"usage": 1, "cell": 3, "user": 30}
    assert fold() == {"usage": 0, "cell": 0, "user": 0}
    ingest([call(f"r{i}", user_id=f"u{i}") for i in range(30)], now=NOW)
    assert [read(OCTOBER) for read in READINGS] == before


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.booleans()), max_size=20))
def test_sql_readings_equal_sums_over_the_events(spec: list[tuple[int, int, bool]]) -> None:
    base = driver_reading(OCTOBER, "tokens")
    digest = usage_digest(OCTOBER)
    salt = evidence(Selection(period=OCTOBER)).count
    events = [
        call(
            f"{salt}-{i}", tenant_id=f"t{t}", output_tokens=n, cached_input_tokens=n if c else None
        )
        for i, (t, n, c) in enumerate(spec)
    ]
    ingest(events, now=NOW)
    wanted = dict(base)
    for event in events:
        owner = (Owner("unallocated", event.tenant_id or ""), "")
        wanted[owner] = wanted.get(owner, Decimal(0)) + 1000 + (event.output_tokens or 0)
    assert driver_reading(OCTOBER, "tokens") == wanted
    assert (usage_digest(OCTOBER) == digest) is (not events)
    assert metered_usage(OCTOBER) == (metered_cells(OCTOBER), usage_digest(OCTOBER))


def test_a_digest_of_cells_at_hand_is_that_of_the_database_whatever_they_are_called() -> None:
    names = ("naïve", "Zoë\u2028", "a b", "ab", "é", "e\u0301", "😀", "z")
    ingest(
        [call(name, tenant_id=name, output_tokens=10**i) for i, name in enumerate(names)], now=NOW
    )
    assert metered_usage(OCTOBER) == (metered_cells(OCTOBER), usage_digest(OCTOBER))
    empty = Month.parse("2026-01").period
    assert metered_usage(empty) == ([], usage_digest(empty))


def test_evidence_is_a_set_of_events_with_a_digest() -> None:
    ingest([call("a"), call("b", status="error"), call("c", model="gpt-4o")], now=NOW)
    mini = Selection(period=OCTOBER, tenant="acme", models=("gpt-4o-*",), statuses=("success",))
    every = Selection(period=OCTOBER)
    found = evidence_for([mini, every])
    assert [f.count for f in found] == [1, 3]
    assert (found[1].count, found[1].digest) == list_digest(event_keys(every))
    late = Selection(period=OCTOBER, received_by=NOON)
    assert evidence(late).count == 0


def test_evidence_of_many_events_is_hashed_in_parts_and_is_the_same() -> None:
    shares = (Share(tenant_id="globex", input_tokens=600, output_tokens=100),)
    ingest(
        [
            call(f"r{i}", model=("gpt-4o", "gpt-4o-mini")[i % 2], shares=shares if i % 3 else ())
            for i in range(60)
        ],
        now=NOW,
    )
    lines = [
        Selection(period=OCTOBER),
        Selection(period=OCTOBER, tenant="acme", models=("gpt-4o",)),
        Selection(period=OCTOBER, tenant="globex"),
        Selection(period=OCTOBER, cost_centre="unallocated"),
        Selection(period=OCTOBER, tenant="nobody"),
    ]
    whole = evidence_for(lines)
    assert [found.count for found in whole] == [60, 30, 40, 60, 0]
    with mock.patch("metering.selected_events._AT_ONCE", 7):
        assert evidence_for(lines) == whole
    for line, found in zip(lines, whole, strict=True):
        assert (found.count, found.digest) == list_digest(event_keys(line))


def test_lines_of_overlapping_periods_share_a_pass_and_no_event() -> None:
    edges = [NOON + timedelta(hours=6 * i) for i in range(6)]
    ingest(
        [call(f"{i}-{j}", occurred_at=edge + timedelta(seconds=j), tenant_id=tenant)
         for i, edge in enumerate(edges[:-1])
         for j, tenant in ((-1, "acme"), (0, "acme"), (1, "globex"))],
        now=NOW,
    )  # fmt: skip
    selections = [
        Selection(period=Period(start, end), tenant=tenant)
        for start, end in combinations(edges, 2)
        for tenant in ("acme", "globex")
    ]
    together = evidence_for(selections)
    assert together == [evidence(selection) for selection in selections]
    assert [found.count for found in together[:4]] == [2, 1, 4, 2]
