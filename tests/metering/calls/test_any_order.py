"""However a trace is told (order, batches, again, a second route between), the same counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any

import msgspec
import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.calls.call_reports import take
from metering.domain.call_reports import CallReport
from metering.domain.periods import Month
from metering.domain.usage import UsageEvent
from metering.ingestion import Books
from metering.rollups import fold
from metering.verification.event_verification import check_month
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.events import NOW, call
from tests.metering.test_dispositions import rows, totals

OCTOBER = Month.parse("2026-10")
CALL = {**MODEL, **USED}
SALTS = count()

SPAN_IDS = st.sampled_from(["a", "b", "c", "d"])
REPORTS = st.builds(
    lambda span, parent, is_call, ended, fields, after: report(
        span, parent_span_id=parent, is_call=is_call, ended=ended, fields=fields, after=after
    ),
    SPAN_IDS,
    st.one_of(st.none(), SPAN_IDS),
    st.sampled_from([True, True, True, False, None]),
    st.sampled_from([True, None]),
    st.sampled_from(
        [
            {},
            MODEL,
            {**CALL, "provider_request_id": "r1"},
            {**CALL, "output_tokens": 7, "provider_request_id": "r2"},
            {"tenant_id": "acme", "endpoint_tag": "chat"},
            {"output_tokens": 9},
        ]
    ),
    st.integers(0, 3),
)
ROUTES = st.sampled_from(
    [
        call("app-1", source="app", provider_request_id="r1", output_tokens=1),
        call("app-2", source="app", provider_request_id="r2", output_tokens=7),
        call("gw-1", source="gateway", provider_request_id="r1", tenant_id=None),
    ]
)
Item = CallReport | UsageEvent


def salted(item: Item, salt: int) -> Item:
    """The same under names of its own, so that examples do not meet each other."""
    if isinstance(item, CallReport):
        fields = dict(item.fields)
        if "provider_request_id" in fields:
            fields["provider_request_id"] += f"-{salt}"
        return msgspec.structs.replace(item, trace_id=f"trace-{salt}", fields=fields)
    return msgspec.structs.replace(
        item,
        external_request_id=f"{item.external_request_id}-{salt}",
        provider_request_id=f"{item.provider_request_id}-{salt}",
    )


def told(items: list[Item], salt: int, sizes: list[int]) -> None:
    """Send the items in batches of these sizes."""
    left = [salted(item, salt) for item in items]
    while left:
        size = sizes.pop() if sizes else len(left)
        take(left[:size], source="sdk", now=NOW, key_tenant=None)
        left = left[size:]


def counted(salt: int) -> list[tuple[Any, ...]]:
    """The salt's events that count, without what tells one telling from another."""
    return rows(
        "SELECT source, split_part(external_request_id, '/', 2), tenant, endpoint_tag,"
        " input_tokens, output_tokens, usage_quality, cost FROM usage_event e"
        f" WHERE (trace_id = 'trace-{salt}' OR external_request_id LIKE '%-{salt}')"
        " AND NOT EXISTS (SELECT FROM (SELECT DISTINCT ON (event_key) * FROM event_disposition"
        "  ORDER BY event_key, sequence DESC) d WHERE d.event_key = e.event_key"
        "  AND d.state <> 'counted') ORDER BY 1, 2, 3, 4, 5, 6, 7"
    )


@pytest.mark.django_db
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(REPORTS, min_size=1, max_size=7),
    st.lists(ROUTES, max_size=2, unique_by=lambda event: event.external_request_id),
    st.randoms(),
    st.lists(st.integers(1, 3), max_size=8),
)
def test_what_counts_is_a_function_of_what_was_told(
    reports: list[CallReport], others: list[UsageEvent], order: Any, sizes: list[int]
) -> None:
    in_order, shuffled = next(SALTS), next(SALTS)
    items: list[Item] = [*reports, *others]
    told(items, in_order, [])
    mixed = [*items, *order.choices(items, k=2)]
    order.shuffle(mixed)
    told(mixed, shuffled, sizes)
    assert counted(shuffled) == counted(in_order)
    before = totals()
    told(items, in_order, [1, 1, 1])
    assert totals() == before
    fold()
    assert list(check_month(OCTOBER)) == []


@pytest.mark.usefixtures("fresh_db")
def test_many_tell_of_the_same_traces_at_once() -> None:
    books = Books.load()
    barrier = Barrier(4)
    parents = [report("top", trace_id=f"t{n}") for n in range(12)]
    leaves = [report("leaf", trace_id=f"t{n}", parent_span_id="top") for n in range(12)]
    updates = [
        report("leaf", trace_id=f"t{n}", fields={"endpoint_tag": "chat"}, after=5)
        for n in range(12)
    ]
    failures: list[BaseException] = []

    def send(sender: int) -> None:
        try:
            mine = [parents, leaves, updates, leaves + parents][sender]
            for batch in range(3):
                barrier.wait(60)
                some = mine[batch::3]
                take(
                    some[:: 1 if sender % 2 else -1],
                    source="sdk",
                    now=NOW,
                    key_tenant=None,
                    books=books,
                )
        except BaseException as error:
            failures.append(error)
            barrier.abort()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    assert failures == []
    ((events, tagged),) = rows(
        "SELECT count(*), count(endpoint_tag) FROM usage_event e WHERE NOT EXISTS (SELECT FROM"
        " (SELECT DISTINCT ON (event_key) * FROM event_disposition ORDER BY event_key,"
        "  sequence DESC) d WHERE d.event_key = e.event_key AND d.state <> 'counted')"
    )
    assert (events, tagged) == (12, 12)
    assert list(check_month(OCTOBER)) == []
