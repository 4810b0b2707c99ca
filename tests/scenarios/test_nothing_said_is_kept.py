"""Prompts, completions and names of people are in no table, no log and no refusal, whatever the
format brings."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import Any

import pytest
from django.db import connection

from metering.calls.trace_rows import spans_told
from tests.metering.api.keys import post, rows, secret
from tests.metering.formats.otlp.requests import CHAT, a_span, as_json, export
from tests.scenarios.wires import BESIDE, SAID, WHO, WIRES, Wire, headers

pytestmark = pytest.mark.usefixtures("db")


def written(text: str) -> list[str]:
    """The ways in which a text may stand in a row: as it is, in hex, in base64."""
    return [text, text.encode().hex(), b64encode(text.encode()).decode().rstrip("=")[:-1]]


def tables() -> list[str]:
    return [
        name
        for (name,) in rows(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND NOT relispartition AND relnamespace = current_schema()::regnamespace"
        )
    ]


def holding(*texts: str) -> list[str]:
    """The tables of which a row, in any of its columns, holds one of the texts."""
    found = []
    with connection.cursor() as cursor:
        for table in tables():
            cursor.execute(
                f"SELECT EXISTS (SELECT FROM {table} AS t WHERE t::text ILIKE ANY (%s))",
                [[f"%{way}%" for text in texts for way in written(text)]],
            )
            ((held,),) = cursor.fetchall()
            if held:
                found.append(table)
    traces = unpacked().lower()
    if any(way.lower() in traces for text in texts for way in written(text)):
        found.append("call_trace")
    return found


def unpacked() -> str:
    """Traces that are kept as they were told, which is packed: no search in rows would find it."""
    packed = rows("SELECT told FROM call_trace WHERE told IS NOT NULL")
    return "\n".join([repr(spans_told(bytes(each))) for (each,) in packed])


@pytest.mark.parametrize("wire", [*WIRES, *BESIDE], ids=lambda wire: wire.name)
def test_what_people_wrote_and_who_they_are(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = secret()
    response: Any = post(
        None, wire.body, path=wire.path, content_type=wire.content_type, **headers(wire, key)
    )
    assert response.status_code < 500, response.content
    kept = rows(f"SELECT count(*) FROM {BESIDE.get(wire, 'usage_event')}")
    assert (kept != [(0,)]) is wire.stores, response.content
    assert holding(SAID, WHO) == []
    if not wire.stores:
        assert WHO not in response.content.decode()
    logged = "\n".join([record.getMessage() for record in caplog.records] + [caplog.text])
    assert SAID not in logged
    assert WHO not in logged


def test_the_search_finds_what_is_there() -> None:
    key = secret()
    tagged = {"tags": {"note": f"it was {SAID}"}, "inputTokens": 1}
    event = {"externalRequestId": "r", "provider": "openai", "model": "gpt-4o", **tagged}
    assert post(key, event).json()["accepted"] == 1
    assert holding(SAID) == ["usage_event"]
    assert holding(f"it was {SAID}".encode().hex()) == []
    trace = export(a_span({**CHAT, "apportion.tag.note": f"it was {SAID}"}))
    sent = post(key, as_json(trace), path="/v1/traces")
    assert sent.json() == {}
    assert holding(SAID) == ["usage_event", "call_trace"]
    assert "usage_event" in tables()
    assert "late_event" in tables()
