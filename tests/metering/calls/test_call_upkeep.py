"""Calls that never end are counted without usage, and seen until then; what is old is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from metering.calls.call_upkeep import ENDS_AFTER, KEPT_FOR, keep_up, open_calls
from metering.verification.event_verification import check_month
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.calls.test_call_reports import COST, OCTOBER, counted, kinds, part, told
from tests.metering.events import NOW, call
from tests.metering.test_dispositions import rows, totals

LATER = NOW + ENDS_AFTER + timedelta(seconds=1)
MUCH_LATER = NOW + KEPT_FOR + timedelta(days=1)


@pytest.fixture(autouse=True)
def books_hold(db: None) -> Iterator[None]:
    yield
    assert list(check_month(OCTOBER)) == []


def test_a_call_that_waits_is_seen_with_what_it_waits_for() -> None:
    told(
        part("t1", is_call=None, fields={"tenant_id": "acme"}),
        part("usage", fields=MODEL),
        part("model", fields=USED),
        part("kind", is_call=None, fields={"provider": "openai"}),
        report("bad", fields={**MODEL, **USED, "provider": "opnai"}),
        report("done"),
    )
    assert [(c.span_id, c.place, c.reason, c.provider, c.model) for c in open_calls(most=9)] == [
        ("bad", "refused", "unknown_provider", "opnai", "gpt-4o-mini"),
        ("kind", "waiting", "waiting_for_kind", "openai", ""),
        ("model", "waiting", "waiting_for_model", "", ""),
        ("usage", "waiting", "waiting_for_usage", "openai", "gpt-4o-mini"),
    ]
    assert open_calls(most=9, source="another") == []


def test_a_call_that_never_ends_is_missing_after_a_day() -> None:
    told(part(fields={**MODEL, "occurred_at": report().fields["occurred_at"]}))
    assert keep_up(now=NOW + timedelta(hours=23)).ended == 0
    assert keep_up(now=LATER).ended == 1
    assert rows("SELECT usage_quality, pricing FROM usage_event") == [("missing", "unpriced")]
    assert keep_up(now=LATER).ended == 0
    assert kinds(told(part(fields=USED, after=5), now=LATER)) == ["amended"]
    assert counted() == (1, COST)


def test_a_tenants_call_ends_as_that_tenants() -> None:
    told(part(fields=MODEL), key_tenant="acme")
    assert keep_up(now=LATER).ended == 1
    assert rows("SELECT tenant FROM usage_event") == [("acme",)]


def test_what_is_old_is_forgotten_and_does_not_count_again() -> None:
    told(report(), call("with-id", provider_request_id="chatcmpl-1"))
    before = totals()
    assert keep_up(now=NOW + timedelta(days=30))[2:] == (0, 0)
    assert keep_up(now=MUCH_LATER)[2:] == (1, 2)
    assert rows("SELECT 1 FROM call_span") == []
    assert kinds(told(report(), now=MUCH_LATER)) == ["duplicate"]
    assert totals() == before


def test_what_never_became_an_event_is_kept_longer() -> None:
    told(part(fields=USED))
    assert keep_up(now=MUCH_LATER).traces == 0
    assert len(open_calls(most=9)) == 1
