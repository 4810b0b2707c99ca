"""The real `openai` and `anthropic` clients with the libraries that instrument them, against a
provider that answers as recorded: what they tell of each call, exported to the product as it is
served.

Anthropic's client makes spans by itself, beside those of a library around it: within them, or in
traces of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from metering.api_keys import create
from metering.rollups import USAGE
from tests.databases import ROOT
from tests.metering.api.keys import rows
from tests.outside.recorded_provider import Recordings, answering
from tests.serving import Server

pytestmark = pytest.mark.outside


class Counted(NamedTuple):
    """A call that counts. Input includes what the cache read and wrote, output the reasoning."""

    model: str
    executed: str
    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    tenant: str = "resource-inc"
    status: str = "success"


OPENAI: Final = [
    Counted("gpt-4o", "gpt-4o", 0, 0, status="error"),
    Counted("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 9, 9),
    Counted("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 1370, 22),
    Counted("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 1370, 155, cached=1280, tenant="baggage-inc"),
    Counted("gpt-5", "gpt-5-2025-08-07", 13, 11),
    Counted("gpt-5", "gpt-5-2025-08-07", 13, 59),
    Counted("gpt-5.6-sol", "gpt-5.6-sol", 4020, 5, cached=4012),
    Counted("gpt-5.6-sol", "gpt-5.6-sol", 4020, 5, written=4012),
    Counted("o3-mini", "o3-mini-2025-01-31", 7, 87, reasoning=64),
    Counted("text-embedding-ada-002", "text-embedding-ada-002-v2", 2, 0),
]
HAIKU, SONNET = "claude-3-5-haiku-20241022", "claude-3-5-sonnet-20240620"
ANTHROPIC: Final = [
    Counted(HAIKU, HAIKU, 107, 21, cached=2, written=5),
    Counted(SONNET, SONNET, 1169, 201, written=1165),
    Counted(SONNET, SONNET, 1169, 221, cached=1165),
    Counted("claude-opus-4-6", "claude-opus-4-6", 0, 0, status="error"),
    Counted(
        *("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 1114, 414),
        cached=1111,
        tenant="attribute-inc",
    ),
]
"""What the recorded answers say of the calls that `instrumented_child` makes."""


@pytest.fixture
def recordings(shared_data: Path) -> Recordings:
    return Recordings(shared_data / "cassettes")


def tell(server: Server, recordings: Recordings, *arguments: str) -> None:
    """Let the child make its calls and export what is told of them."""
    key = create("telemetry", "ingest", source="application", now=datetime.now(UTC))[1]
    with answering(recordings) as provider:
        child = subprocess.run(
            [sys.executable, "-m", "tests.outside.instrumented_child", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={
                **os.environ,
                "PROVIDER_URL": provider,
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{server.url}/v1/traces",
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"Authorization=Bearer {key}",
                "OTEL_SERVICE_NAME": "poems",
                "OTEL_RESOURCE_ATTRIBUTES": "tenant.id=resource-inc,"
                "deployment.environment.name=staging",
            },
        )
    assert child.returncode == 0, child.stderr[-3000:]


def counted(more: str = "") -> list[tuple[Any, ...]]:
    """The events that count, and no others: what was told by several counts once."""
    return rows(
        "SELECT model, coalesce(model_executed, model), coalesce(input_tokens, 0),"
        " coalesce(output_tokens, 0), coalesce(cached_input_tokens, 0),"
        " coalesce(cache_write_tokens, 0), coalesce(reasoning_tokens, 0), tenant, status"
        f" {more} FROM usage_event e WHERE NOT EXISTS (SELECT FROM event_disposition d"
        " WHERE d.event_key = e.event_key AND d.state <> 'counted')"
    )


def expect(*calls: Counted) -> None:
    """These calls count, in the events and in the rollup."""
    assert sorted(counted()) == sorted(calls)
    assert rows(
        "SELECT sum(events), sum(input_tokens), sum(output_tokens), array_agg(DISTINCT environment)"
        f" FROM {USAGE.relation()} cells WHERE events <> 0"
    ) == [
        (len(calls), sum(c.input for c in calls), sum(c.output for c in calls), ["staging"]),
    ]


def test_anthropics_own_client_tells_of_its_calls(server: Server, recordings: Recordings) -> None:
    tell(server, recordings, "calls")
    expect(*ANTHROPIC)
    assert rows("SELECT DISTINCT pricing FROM usage_event WHERE status = 'success'") == [
        ("priced",)
    ]


def test_opentelemetrys_own_instrumentations(server: Server, recordings: Recordings) -> None:
    tell(server, recordings, "calls", "official")
    expect(*OPENAI, *ANTHROPIC)
    assert rows("SELECT DISTINCT usage_quality FROM usage_event WHERE status = 'success'") == [
        ("reported",)
    ]


def test_openllmetrys_instrumentations(server: Server, recordings: Recordings) -> None:
    """They leave out what OpenAI wrote to its cache, and count the first token of Anthropic's
    streams twice: the client, whose spans lie beside theirs, is believed."""
    tell(server, recordings, "calls", "openllmetry")
    told = [call._replace(written=0) for call in OPENAI]
    expect(*told, *ANTHROPIC)
    assert rows("SELECT model FROM usage_event WHERE user_pseudonym IS NOT NULL") == [
        ("gpt-4o-mini",)
    ]
    assert rows("SELECT max(output_tokens) FROM usage_event WHERE cache_write_tokens = 1165") == [
        (202,)
    ]
    expect_nothing_of_what_was_said(server)


def test_openinferences_instrumentations(server: Server, recordings: Recordings) -> None:
    """What was asked for stands in the request's parameters. Anthropic's streams are told in a
    trace of their own, and counting tokens is called a call."""
    tell(server, recordings, "calls", "openinference")
    expect(*OPENAI, *ANTHROPIC)
    assert rows("SELECT model FROM usage_event WHERE user_pseudonym IS NOT NULL") == [
        ("gpt-4o-mini",)
    ]
    expect_nothing_of_what_was_said(server)


def expect_nothing_of_what_was_said(server: Server) -> None:
    for table in ("usage_event", "call_span", "call_trace"):
        for said in ("nobody may keep", "jane@example"):
            assert rows(f"SELECT 1 FROM {table} t WHERE t::text LIKE '%{said}%'") == []
    assert "nobody may keep" not in server.log.read_text()


@pytest.mark.parametrize("library", ["official", "openllmetry"])
def test_a_call_in_the_background_counts_once_however_often_it_is_asked_for(
    server: Server, recordings: Recordings, library: str
) -> None:
    tell(server, recordings, "background", library)
    [(model, *_, answer)] = counted(", provider_request_id")
    assert model.startswith("gpt-4o")
    assert answer.startswith("resp_")
