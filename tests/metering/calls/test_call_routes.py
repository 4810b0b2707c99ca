"""The same call by two routes counts once, whichever came first, and both can still be seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from msgspec import structs

from metering.calls.call_reports import take
from metering.domain.call_reports import CallReport
from metering.domain.periods import Month
from metering.domain.usage import UsageEvent
from metering.ingestion import Books, ingest
from metering.models import Source
from metering.outcomes import Outcome
from metering.verification.event_verification import check_month
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.calls.test_call_reports import COST, counted, kinds, part
from tests.metering.events import NOON, NOW, call
from tests.metering.test_dispositions import rows, totals

OCTOBER = Month.parse("2026-10")

PLAIN = call(
    "req-1",
    source="app",
    provider_request_id="chatcmpl-1",
    tenant_id="acme",
    endpoint_tag="chat",
    input_tokens=10,
    cached_input_tokens=None,
    output_tokens=5,
    user_id="ann",
)
METERED = call(
    "gw-1",
    source="gateway",
    provider_request_id="chatcmpl-1",
    tenant_id=None,
    endpoint_tag=None,
    usage_quality="provider_reported",
)


def counting() -> list[tuple[Any, ...]]:
    """The events that count: source, request, tenant, input tokens, and how the user is known."""
    return rows(
        "SELECT source, external_request_id, tenant, input_tokens, user_kind FROM usage_event e"
        " WHERE NOT EXISTS (SELECT FROM (SELECT DISTINCT ON (event_key) * FROM event_disposition"
        "  ORDER BY event_key, sequence DESC) d WHERE d.event_key = e.event_key"
        "  AND d.state <> 'counted') ORDER BY 1, 2, 4"
    )


def sent(*events: UsageEvent) -> list[Outcome]:
    return ingest(events, now=NOW)


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize("order", [(PLAIN, METERED), (METERED, PLAIN)])
@pytest.mark.parametrize("at_once", [True, False])
def test_two_routes_of_one_call_count_once(
    order: tuple[UsageEvent, UsageEvent],
    at_once: bool,  # noqa: FBT001 - a case
) -> None:
    outcomes = sent(*order) if at_once else [*sent(order[0]), *sent(order[1])]
    assert sorted(kinds(outcomes)) == ["accepted", "amended: merged"]
    assert counting() == [("app", "req-1", "acme", 1000, "user")]
    assert counted() == (1, COST)
    ((merged,),) = rows("SELECT DISTINCT superseded_by::text FROM event_disposition")
    assert rows(
        "SELECT event_key::text FROM event_disposition WHERE state = 'merged' ORDER BY 1"
    ) == (sorted((outcome.key,) for outcome in outcomes))
    assert rows(f"SELECT source FROM usage_event WHERE event_key = '{merged}'") == [("app",)]


@pytest.mark.usefixtures("books_hold")
def test_sent_again_by_either_route_nothing_changes() -> None:
    sent(PLAIN, METERED)
    before = totals()
    assert kinds(sent(METERED, PLAIN)) == ["duplicate"] * 2
    assert totals() == before


@pytest.mark.usefixtures("books_hold")
def test_the_outcome_says_which_event_counts() -> None:
    sent(METERED)
    (outcome,) = sent(PLAIN)
    ((counts,),) = rows("SELECT DISTINCT superseded_by::text FROM event_disposition")
    assert outcome.message == (
        f"the same call was reported by gateway; event {counts} counts for both"
    )


@pytest.mark.usefixtures("books_hold")
def test_a_declared_role_decides_what_is_believed() -> None:
    Source.objects.create(key="app", role="meter")
    Source.objects.create(key="gateway", role="application")
    sent(PLAIN, METERED)
    assert counting() == [("gateway", "gw-1", "acme", 10, "user")]


@pytest.mark.usefixtures("books_hold")
def test_three_routes_in_any_order_are_one_call() -> None:
    third = call("sdk-1", source="sdk", provider_request_id="chatcmpl-1", tenant_id=None)
    for event in (third, PLAIN, METERED):
        sent(event)
    assert counting() == [("app", "req-1", "acme", 1000, "user")]
    assert rows(
        "SELECT count(DISTINCT superseded_by) FROM (SELECT DISTINCT ON (event_key) * FROM"
        " event_disposition ORDER BY event_key, sequence DESC) d WHERE state = 'merged'"
    ) == [(1,)]


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize(
    "other",
    [
        call("x", source="gateway", provider_request_id="chatcmpl-2"),
        call("x", source="gateway", provider="azure", provider_request_id="chatcmpl-1"),
        call("x", source="gateway", provider_request_id="chatcmpl-1", tenant_id="globex"),
        call("req-1", source="app", attempt=2, provider_request_id="chatcmpl-1"),
        call("x", source="app", provider_request_id="chatcmpl-1", input_tokens=11),
    ],
    ids=["another call", "another provider", "another tenant", "another attempt", "other counts"],
)
def test_what_may_be_another_call_counts_by_itself(other: UsageEvent) -> None:
    assert kinds([*sent(PLAIN), *sent(other)]) == ["accepted"] * 2
    assert len(counting()) == 2


@pytest.mark.usefixtures("books_hold")
def test_one_source_that_tells_a_call_under_two_names_tells_one_call() -> None:
    again = call("x", source="gateway", provider_request_id="chatcmpl-1", tenant_id="acme")
    sent(METERED)
    sent(again)
    assert counted() == (1, COST)


@pytest.mark.usefixtures("books_hold")
def test_a_trace_joins_calls_of_one_model_and_tokens_one_to_one() -> None:
    def app(name: str) -> UsageEvent:
        return call(
            name, source="app", trace_id="0AF7651916CD43DD8448EB211C80319C", tenant_id="acme"
        )

    def sdk(name: str, **different: Any) -> UsageEvent:
        trace = "0af76519-16cd-43dd-8448-eb211c80319c"
        return call(name, source="sdk", trace_id=trace, tenant_id=None, **different)

    sent(app("a1"), app("a2"))
    sent(sdk("s1"))
    assert counted() == (2, 2 * COST)
    sent(sdk("s2"), sdk("s3"), sdk("s4", output_tokens=7))
    assert counted()[0] == 4
    assert len(rows("SELECT 1 FROM event_disposition WHERE state = 'merged'")) == 4


@pytest.mark.usefixtures("books_hold")
def test_the_same_span_by_two_sources_is_one_call() -> None:
    def spans(source: str, *reports: Any) -> list[Outcome]:
        return take(reports, source=source, now=NOW, key_tenant=None)

    spans("app", report(fields={**MODEL, **USED, "tenant_id": "acme", "endpoint_tag": "chat"}))
    (second,) = spans("sdk", report(fields={**MODEL, **USED, "output_tokens": 300}))
    assert kinds([second]) == ["amended: merged"]
    assert counted()[0] == 1


@pytest.mark.usefixtures("books_hold")
def test_a_span_and_an_event_of_one_source_are_two_routes() -> None:
    sent(call("req", source="api", trace_id="t1", tenant_id="acme"))
    (span,) = take([report()], source="api", now=NOW, key_tenant=None)
    assert kinds([span]) == ["amended: merged"]
    assert counted() == (1, COST)


RUNS = "0a1b2c3d-0000-7000-8000-00000000000"
"""How LangSmith names runs, and by its first run the trace."""


def as_run(number: int, *, began: datetime) -> CallReport:
    run = f"{RUNS}{number}"
    fields = {**MODEL, **USED, "occurred_at": began.isoformat(), "external_request_id": run}
    return report(run, trace_id=f"{RUNS}0", fields=fields)


def as_span(number: int, *, began: datetime, **different: Any) -> CallReport:
    trace, span = f"{number:032x}", f"{number:016x}"
    name = f"langsmith:{trace}/{span}"
    told = {"occurred_at": began.isoformat(), "external_request_id": name, **different}
    return report(span, trace_id=trace, fields={**MODEL, **USED, **told})


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize("runs_first", [True, False])
def test_runs_that_travel_as_spans_too_are_paired_by_their_beginning(
    runs_first: bool,  # noqa: FBT001 - a case
) -> None:
    """LangSmith's SDK gives the spans ids of their own, and may round a microsecond away."""
    times = [NOON + timedelta(milliseconds=n) for n in (1, 1, 3)]
    runs = [as_run(n, began=at) for n, at in enumerate(times, start=1)]
    spans = [
        as_span(n, began=at - timedelta(microseconds=1)) for n, at in enumerate(times, start=1)
    ]
    for reports in (runs, spans) if runs_first else (spans, runs):
        take(reports, source="shop", now=NOW, key_tenant=None)
    assert counted() == (3, 3 * COST)
    take([*runs, *spans], source="shop", now=NOW, key_tenant=None)
    assert counted() == (3, 3 * COST)


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize("runs_first", [True, False])
def test_runs_without_usage_are_paired_however_each_way_estimates_them(
    runs_first: bool,  # noqa: FBT001 - a case
) -> None:
    def estimated(told: CallReport, tokens: int) -> CallReport:
        fields = {name: value for name, value in told.fields.items() if name not in USED}
        ends = NOON + timedelta(seconds=1)
        return structs.replace(
            told, ended_at=ends, fields={**fields, "~~input_tokens": tokens, "~~output_tokens": 3}
        )

    times = [NOON + timedelta(milliseconds=n) for n in (1, 2)]
    runs = [estimated(as_run(n, began=at), 10 + n) for n, at in enumerate(times, start=1)]
    spans = [estimated(as_span(n, began=at), 20 + n) for n, at in enumerate(times, start=1)]
    for reports in (runs, spans) if runs_first else (spans, runs):
        take(reports, source="shop", now=NOW, key_tenant=None)
    assert counted()[0] == 2
    assert {row[0] for row in rows("SELECT usage_quality FROM usage_event")} == {"estimated"}


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize(
    "other",
    [
        as_span(2, began=NOON + timedelta(microseconds=20)),
        as_span(2, began=NOON, output_tokens=1),
        as_span(2, began=NOON, model="gpt-4o"),
        as_span(2, began=NOON, external_request_id="any other instrumentation's"),
        as_run(2, began=NOON),
    ],
)
def test_what_only_began_with_a_run_is_another_call(other: CallReport) -> None:
    take([as_run(1, began=NOON)], source="shop", now=NOW, key_tenant=None)
    take([other], source="shop", now=NOW, key_tenant=None)
    assert counted()[0] == 2


@pytest.mark.usefixtures("books_hold")
def test_an_amended_call_stays_merged_with_its_other_route() -> None:
    sent(PLAIN)
    by_id = {**MODEL, **USED, "provider_request_id": "chatcmpl-1"}
    take([report(fields=by_id)], source="sdk", now=NOW, key_tenant=None)
    assert counting() == [("app", "req-1", "acme", 1000, "user")]
    amended = take(
        [part(fields={"input_tokens": 2000}, after=3)], source="sdk", now=NOW, key_tenant=None
    )
    assert kinds(amended)[0].startswith("amended")
    assert counting() == [("app", "req-1", "acme", 2000, "user")]
    assert counted()[0] == 1


@pytest.mark.usefixtures("books_hold")
def test_a_merged_call_that_turns_out_to_be_none_leaves_the_other_route() -> None:
    sent(PLAIN)
    by_id = {**MODEL, **USED, "provider_request_id": "chatcmpl-1"}
    take([report(fields=by_id)], source="sdk", now=NOW, key_tenant=None)
    take([part(is_call=False, after=3)], source="sdk", now=NOW, key_tenant=None)
    assert counting() == [("app", "req-1", "acme", 10, "user")]
    take([part(is_call=True, after=4)], source="sdk", now=NOW, key_tenant=None)
    assert counting() == [("app", "req-1", "acme", 1000, "user")]


@pytest.mark.usefixtures("books_hold")
def test_a_leaf_takes_its_parents_place_beside_the_other_route() -> None:
    sent(PLAIN)
    by_id = {**MODEL, **USED, "provider_request_id": "chatcmpl-1"}
    take([report("top", fields=by_id)], source="sdk", now=NOW, key_tenant=None)
    leaf = report("leaf", parent_span_id="top", fields={**by_id, "input_tokens": 3000})
    take([leaf], source="sdk", now=NOW, key_tenant=None)
    assert counting() == [("app", "req-1", "acme", 3000, "user")]
    assert counted()[0] == 1


@pytest.mark.usefixtures("fresh_db")
def test_two_routes_at_once_do_not_both_count() -> None:
    books = Books.load()
    barrier = Barrier(2)

    def send(source: str) -> list[str]:
        done = []
        try:
            for batch in range(6):
                events = [
                    call(
                        f"{source}-{batch}-{n}",
                        source=source,
                        provider_request_id=f"chatcmpl-{batch}-{n}",
                        tenant_id="acme" if source == "app" else None,
                    )
                    for n in range(20)
                ]
                barrier.wait(60)
                done += kinds(ingest(events, now=NOW, books=books))
        finally:
            connections.close_all()
        return done

    with ThreadPoolExecutor(2) as pool:
        outcomes = [kind for done in pool.map(send, ["app", "gateway"]) for kind in done]
    assert sorted(set(outcomes)) == ["accepted", "amended: merged"]
    assert outcomes.count("accepted") == outcomes.count("amended: merged") == 120
    assert counted() == (120, 120 * COST)
    assert {row[0] for row in counting()} == {"app"}
    assert list(check_month(OCTOBER)) == []


@pytest.mark.usefixtures("books_hold")
def test_a_merged_call_costs_what_the_meter_saw() -> None:
    sent(METERED, PLAIN)
    assert rows("SELECT cost FROM usage_event WHERE event_id LIKE 'merged:%'") == [
        (Decimal("0.0002475"),)
    ]
