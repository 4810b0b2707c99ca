"""Langfuse's events for tests: batches as its SDKs send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from metering.domain.call_reports import CallReport
from metering.formats.langfuse import parse_batch
from metering.formats.span_facts import Interpretation

NOW = datetime(2026, 11, 22, tzinfo=UTC)
AT = "2026-11-20T12:00:02.000Z"


def sent(kind: str, body: dict[str, Any], *, id: str = "evt-1", at: str = AT) -> dict[str, Any]:
    return {"id": id, "timestamp": at, "type": kind, "body": body}


def read(*events: dict[str, Any], how: Interpretation | None = None) -> list[CallReport]:
    body = json.dumps({"batch": events, "metadata": {"sdk_version": "2.60.3"}}).encode()
    found = parse_batch(body) if how is None else parse_batch(body, how=how)
    reports = [each.item for each in found if each.item is not None]
    assert all(isinstance(report, CallReport) for report in reports), reports
    return [report for report in reports if isinstance(report, CallReport)]


def generation(**different: Any) -> dict[str, Any]:
    return {
        "id": "gen-1",
        "traceId": "tr-1",
        "name": "summary",
        "startTime": "2026-11-20T12:00:00.000Z",
        "endTime": "2026-11-20T12:00:01.800Z",
        "model": "claude-sonnet-4-5-20250929",
        "usageDetails": {"input": 1000, "input_cached_tokens": 20000, "output": 800},
        **different,
    }
