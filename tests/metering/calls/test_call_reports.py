"""Calls that are told in reports: in whatever order and batches, the same events count."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from metering.calls.call_reports import take
from metering.domain.call_reports import CallReport
from metering.domain.periods import Month
from metering.domain.usage import Rejection
from metering.ingestion import ingest
from metering.models import Provider
from metering.outcomes import Outcome
from metering.rollups import USAGE
from metering.verification.event_verification import check_month
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.events import NOON, NOW, call
from tests.metering.test_dispositions import rows

OCTOBER = Month.parse("2026-10")
COST = Decimal("0.0002475")
"""Of one call of `USED`: 700 input, 300 cached, 200 output tokens of gpt-4o-mini."""

pytestmark = pytest.mark.django_db


def told(*reports: Any, **different: Any) -> list[Outcome]:
    return take(reports, **{"source": "test", "now": NOW, "key_tenant": None, **different})


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [
        each.outcome if each.reason is None else f"{each.outcome}: {each.reason}"
        for each in outcomes
    ]


def counted() -> tuple[int, Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(sum(events), 0), sum(cost) FROM {USAGE.relation()} r")
        events, cost = cursor.fetchone()
        return int(events), cost or Decimal(0)


def part(span_id: str = "s1", *, after: int = 0, **different: Any) -> CallReport:
    """A report that tells only what it is given: no fields, no end."""
    return report(span_id, after=after, **{"fields": {}, "ended": None, **different})


@pytest.fixture(autouse=True)
def books_hold(db: None) -> Any:
    """Whatever a test did, rollups are the events that count, and nothing was changed."""
    yield
    assert list(check_month(OCTOBER)) == []


def test_a_call_that_is_told_at_once_counts_at_once() -> None:
    (outcome,) = told(report())
    assert (outcome.outcome, outcome.reason) == ("accepted", None)
    assert counted() == (1, COST)
    assert rows(
        "SELECT event_key::text, event_id, external_request_id, trace_id, occurred_at FROM"
        " usage_event"
    ) == [(outcome.key, "span:t1/s1", "t1/s1", "t1", NOON)]


def test_a_call_counts_as_soon_as_its_model_and_usage_are_known() -> None:
    created = part(fields={**MODEL, "occurred_at": NOON.isoformat(), "endpoint_tag": "chat"})
    updated = part(fields=USED, after=5, rank=1)
    assert kinds(told(created)) == ["accepted: waiting_for_usage"]
    assert counted()[0] == 0
    assert kinds(told(updated)) == ["accepted"]
    assert kinds(told(part(ended=True, after=6))) == ["duplicate"]
    assert counted() == (1, COST)
    assert rows("SELECT endpoint_tag FROM usage_event") == [("chat",)]


def test_the_update_may_come_first() -> None:
    created = part(fields={**MODEL, "occurred_at": NOON.isoformat()})
    assert kinds(told(part(fields=USED, after=5))) == ["accepted: waiting_for_model"]
    assert kinds(told(created)) == ["accepted"]
    assert counted() == (1, COST)


def test_a_report_that_changes_a_call_amends_it() -> None:
    (first,) = told(report())
    (second,) = told(part(fields={"output_tokens": 400}, after=1))
    assert kinds([first, second]) == ["accepted", "amended"]
    assert counted() == (1, COST + Decimal("0.00012"))
    assert rows(
        "SELECT event_key::text, state, superseded_by::text, reason FROM event_disposition"
    ) == [(first.key, "superseded", second.key, "a later report of the call")]
    assert rows("SELECT event_id FROM usage_event ORDER BY 1") == [
        ("span:t1/s1",),
        ("span:t1/s1#2",),
    ]


def test_what_is_told_again_or_was_overtaken_is_a_duplicate() -> None:
    told(report(after=5))
    older = part(fields={"output_tokens": 1}, after=1)
    assert kinds(told(report(after=5), older, report(after=5))) == ["duplicate"] * 3
    assert counted() == (1, COST)


def test_a_call_that_ended_without_usage_is_missing_and_has_no_price() -> None:
    assert kinds(told(part(fields=MODEL), part(ended=True, after=1))) == ["accepted", "accepted"]
    assert rows("SELECT usage_quality, input_tokens, pricing, cost FROM usage_event") == [
        ("missing", None, "unpriced", None)
    ]
    told(part(fields=USED, after=2))
    assert counted() == (1, COST)


@pytest.mark.parametrize("batches", [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1], [1, 2, 0]])
def test_a_parent_counts_in_its_leaves_in_whatever_order(batches: list[int]) -> None:
    reports = [
        report("top", fields={**MODEL, **USED, "input_tokens": 2000}),
        report("between", parent_span_id="top", is_call=False, fields={}),
        report("leaf", parent_span_id="between"),
    ]
    for index in batches:
        told(reports[index])
    assert counted() == (1, COST)
    told(*reports)
    assert counted() == (1, COST)


def test_a_leaf_that_turns_out_void_lets_its_parent_count_again() -> None:
    (parent,) = told(report("top"))
    (leaf,) = told(report("leaf", parent_span_id="top"))
    assert counted() == (1, COST)
    told(part("leaf", is_call=False, after=9))
    assert counted() == (1, COST)
    assert rows(
        "SELECT event_key::text, state, superseded_by::text FROM event_disposition"
        f" ORDER BY event_key = '{leaf.key}', sequence"
    ) == [
        (parent.key, "superseded", leaf.key),
        (parent.key, "counted", None),
        (leaf.key, "uncounted", None),
    ]
    told(part("leaf", is_call=True, after=10))
    assert counted() == (1, COST)


def test_a_silent_call_takes_over_what_its_trace_says() -> None:
    told(report())
    root = report(
        "root", is_call=False, fields={"tenant_id": "acme", "tags": {"team": "x"}, "user_id": "ann"}
    )
    assert kinds(told(root)) == ["accepted: not_a_call"]
    assert counted() == (1, COST)
    assert rows(
        "SELECT tenant, tags::text, user_kind FROM usage_event WHERE event_id LIKE '%#2'"
    ) == [("acme", '{"team":"x"}', "user")]


def test_nobody_is_named_in_what_is_kept() -> None:
    told(report("root", is_call=False, fields={"user_id": "jane@x.org", "anon_id": "cookie-9"}))
    told(report("call", parent_span_id="root"))
    told(report("waits", fields={"ip_hash": "10.1.1.1", "~~user_id": "jane"}))
    for table in ("call_trace", "call_span", "call_identity", "usage_event", "late_event"):
        ((kept,),) = rows(f"SELECT coalesce(string_agg(t::text, ''), '') FROM {table} t")
        assert not any(name in kept for name in ("jane", "cookie-9", "10.1.1.1"))
    told_so = rows("SELECT user_kind, user_pseudonym FROM usage_event WHERE user_kind = 'user'")
    ingest([call("plain", user_id="jane@x.org")], now=NOW)
    assert rows("SELECT DISTINCT user_kind, user_pseudonym FROM usage_event") == told_so


def test_a_report_that_cannot_be_is_refused_alone() -> None:
    bad = [
        report(fields={**MODEL, "input_tokens": 10**20}),
        report(fields={**MODEL, "prompt": "secret"}),
        report(said_at=NOW + timedelta(days=2)),
        report(fields={**MODEL, **USED, "occurred_at": (NOW + timedelta(days=2)).isoformat()}),
        report(trace_id=""),
        report("s" * 501),
        Rejection(place="line 3", reason="malformed", message="no JSON"),
    ]
    outcomes = told(*bad, report())
    assert kinds(outcomes) == [
        "rejected: out_of_range",
        "rejected: unknown_field",
        "rejected: future_time",
        "rejected: future_time",
        "rejected: empty_field",
        "rejected: too_long",
        "rejected: malformed",
        "accepted",
    ]
    assert [each.index for each in outcomes] == list(range(8))
    assert counted() == (1, COST)


def test_a_call_of_a_provider_that_nobody_knows_is_refused_until_it_is_known() -> None:
    unknown = report(fields={**MODEL, **USED, "provider": "opnai"})
    assert kinds(told(unknown)) == ["rejected: unknown_provider"]
    assert kinds(told(unknown)) == ["rejected: unknown_provider"]
    Provider.objects.create(key="opnai")
    assert kinds(told(unknown)) == ["accepted"]


def test_whole_events_go_along() -> None:
    outcomes = told(report(), call("plain"), call("plain"))
    assert kinds(outcomes) == ["accepted", "accepted", "duplicate"]
    assert counted()[0] == 2


def test_a_key_of_one_tenant_sends_for_that_tenant_only() -> None:
    foreign = report(fields={**MODEL, **USED, "tenant_id": "globex"})
    shared = report(
        fields={**MODEL, **USED, "shares": [{"tenant_id": "globex", "input_tokens": 1}]}
    )
    outcomes = told(foreign, shared, report(), key_tenant="acme")
    assert kinds(outcomes) == ["rejected: foreign_tenant"] * 2 + ["accepted"]
    assert rows("SELECT tenant FROM usage_event") == [("acme",)]


def test_two_tenants_keys_do_not_meet_in_a_trace() -> None:
    told(report(), key_tenant="acme")
    told(report(), part(fields={"output_tokens": 0}, after=3), key_tenant="globex")
    assert rows("SELECT tenant, output_tokens FROM usage_event ORDER BY 1") == [
        ("acme", 200),
        ("globex", 0),
    ]
    assert counted()[0] == 2


def test_shares_by_weight_divide_the_usage_wherever_it_is_told() -> None:
    shares = [{"tenant_id": "a", "weight": "3"}, {"tenant_id": "b", "weight": "1"}]
    told(part(fields={**MODEL, "shares": shares}), part(fields=USED, after=1))
    assert rows(
        "SELECT tenant, input_tokens, output_tokens FROM event_share ORDER BY position"
    ) == [
        ("a", 750, 150),
        ("b", 250, 50),
        ("", 0, 0),
    ]


def test_a_call_older_than_the_ledger_is_kept_in_the_late_queue() -> None:
    old = (NOW - timedelta(days=401)).isoformat()
    assert kinds(told(report(fields={**MODEL, **USED, "occurred_at": old}))) == ["rejected: late"]
    assert rows("SELECT source FROM late_event") == [("test",)]


def test_times_keep_their_zone_and_their_microseconds() -> None:
    at = "2026-10-03T23:59:59.999999+05:45"
    told(report(fields={**MODEL, **USED, "occurred_at": at}))
    assert rows("SELECT occurred_at::text FROM usage_event") == [("2026-10-03 18:14:59.999999+00",)]
