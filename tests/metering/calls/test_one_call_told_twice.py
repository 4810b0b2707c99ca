"""One call that several ways tell otherwise: a provider's own client and a library around it, one
that measures and one that estimates. They meet in time, in a trace or by the answer's id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from metering.calls.call_reports import take
from metering.domain.call_reports import CallReport
from metering.domain.usage import UsageEvent
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.calls.test_call_reports import counted
from tests.metering.calls.test_call_routes import sent
from tests.metering.events import NOON, NOW, call
from tests.metering.test_dispositions import rows

FROM_APP: dict[str, Any] = {"source": "app", "now": NOW, "key_tenant": None}


def by_client(trace: int, **different: Any) -> CallReport:
    """A call as Anthropic's own client tells it, in a trace of its own."""
    fields = {"provider": "anthropic", "model": "claude-sonnet-4-5", **USED, "latency_ms": 800}
    fields |= {"occurred_at": (NOON + timedelta(milliseconds=5)).isoformat()}
    name = f"client:{trace}/s{trace}"
    told = {**fields, "external_request_id": name, "provider_request_id": "msg_1", **different}
    return report(f"s{trace}", trace_id=f"t{trace}", fields=told)


def by_library(trace: int, **different: Any) -> CallReport:
    """The same call as a library around the client tells it, which began before and ended after."""
    fields = {"provider": "anthropic", "model": "claude-sonnet-4-5", **USED, "latency_ms": 810}
    told = {**fields, "occurred_at": NOON.isoformat(), **different}
    return report(f"s{trace}", trace_id=f"t{trace}", fields=told)


FAILED: dict[str, Any] = {**dict.fromkeys(USED), "status": "error"}


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize("client_first", [True, False])
@pytest.mark.parametrize(
    ("client", "library", "output"),
    [
        ({}, {"provider_request_id": "msg_1", "output_tokens": 201}, 200),
        ({}, {}, 200),
        ({"provider_request_id": None, **FAILED}, FAILED, None),
    ],
)
def test_a_client_and_a_library_around_it_tell_of_one_call(
    client: dict[str, Any],
    library: dict[str, Any],
    output: int | None,
    client_first: bool,  # noqa: FBT001 - a case
) -> None:
    """The client is nearer to the provider, so its counts are believed."""
    both = [by_client(1, **client), by_library(2, **library)]
    for told in both if client_first else reversed(both):
        take([told], source="app", now=NOW, key_tenant=None)
    assert rows(
        "SELECT output_tokens FROM usage_event e WHERE NOT EXISTS"
        " (SELECT FROM event_disposition d WHERE d.event_key = e.event_key)"
    ) == [(output,)]
    assert counted()[0] == 1


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize(
    "library",
    [
        by_library(2, output_tokens=201),
        by_library(2, latency_ms=700),
        by_library(2, occurred_at=(NOON + timedelta(milliseconds=6)).isoformat()),
        by_library(2, provider_request_id="msg_2"),
        by_library(2, tenant_id="globex"),
    ],
)
def test_what_a_library_tells_of_another_time_is_another_call(library: CallReport) -> None:
    take([by_client(1, tenant_id="acme")], source="app", now=NOW, key_tenant=None)
    take([library], source="app", now=NOW, key_tenant=None)
    assert counted()[0] == 2


@pytest.mark.usefixtures("books_hold")
def test_calls_that_run_at_once_are_each_told_once_more() -> None:
    """Whichever of them is taken for whose: as many count as there were."""
    take([by_client(n, provider_request_id=f"msg_{n}") for n in range(4)], **FROM_APP)
    take([by_library(10 + n) for n in range(3)], **FROM_APP)
    assert counted()[0] == 4
    take([by_library(20), by_library(21)], **FROM_APP)
    assert counted()[0] == 5


@pytest.mark.usefixtures("books_hold")
def test_one_request_id_in_one_trace_is_one_call_whatever_was_counted() -> None:
    def spans(trace: str) -> list[CallReport]:
        told = {**MODEL, **USED, "provider_request_id": f"chatcmpl-{trace}"}
        return [
            report(f"s{n}", trace_id=trace, fields={**told, "output_tokens": n}) for n in (7, 9)
        ]

    take(spans("one"), **FROM_APP)
    assert counted()[0] == 1
    apart = [structs.replace(told, trace_id=f"{told.span_id}-own") for told in spans("two")]
    take(apart, **FROM_APP)
    assert counted()[0] == 3


def estimated(name: str, **different: Any) -> UsageEvent:
    """A call of the trace as an application tells it that counts tokens by the text."""
    told = {"usage_quality": "estimated", "input_tokens": 900, "cached_input_tokens": None}
    told |= {"source": "app", "trace_id": "t1", "tenant_id": "acme", "latency_ms": 900}
    return call(name, time_reported=True, **{**told, **different})


def measured(span: str = "s1", **different: Any) -> CallReport:
    """The call as its SDK tells it, of 800 ms from 20 ms after noon."""
    at = (NOON + timedelta(milliseconds=20)).isoformat()
    fields = {**MODEL, **USED, "occurred_at": at, "latency_ms": 800}
    return report(span, fields={**fields, **different})


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize("application_first", [True, False])
@pytest.mark.parametrize(
    "different",
    [{}, {"usage_quality": "missing", "input_tokens": None, "output_tokens": None}],
)
def test_who_estimates_a_call_of_a_trace_tells_of_the_one_that_was_measured(
    different: dict[str, Any],
    application_first: bool,  # noqa: FBT001 - a case
) -> None:
    """Another call of the trace at the same time stays another: each is paired once."""

    def by_application() -> None:
        sent(estimated("a1", **different))

    def by_sdk() -> None:
        take([measured(), measured("s2", output_tokens=7)], source="sdk", now=NOW, key_tenant=None)

    ways = (by_application, by_sdk)
    for tell in ways if application_first else reversed(ways):
        tell()
    assert counted()[0] == 2
    assert len(rows("SELECT 1 FROM event_disposition WHERE state = 'merged'")) == 2
    assert rows(
        "SELECT tenant, input_tokens, usage_quality FROM usage_event WHERE event_id LIKE 'merged:%'"
    ) == [("acme", 1000, "reported")]


@pytest.mark.usefixtures("books_hold")
@pytest.mark.parametrize(
    "different",
    [
        {"trace_id": "t2"},
        {"model": "gpt-4o"},
        {"status": "error"},
        {"usage_quality": "reported"},
        {"latency_ms": 500},
        {"occurred_at": NOON + timedelta(seconds=2)},
        {"tenant_id": "globex"},
        {"provider_request_id": "chatcmpl-other"},
    ],
)
def test_what_is_estimated_of_another_call_counts_beside_it(different: dict[str, Any]) -> None:
    told = measured(tenant_id="acme", provider_request_id="chatcmpl-this")
    take([told], source="sdk", now=NOW, key_tenant=None)
    sent(estimated("a1", **different))
    assert counted()[0] == 2
