"""Traces in files: exports of Langfuse and LangSmith, and OpenTelemetry's spans."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering.domain.periods import Month
from metering.files.trace_files import (
    TraceFormat,
    TraceResult,
    format_of,
    ingest_traces,
    open_traces,
)
from metering.files.usage_files import UnreadableFile
from metering.formats.span_facts import READ_AS_USUAL
from metering.outcomes import Outcome
from metering.verification.event_verification import check_month
from tests.metering.api.keys import rows

pytestmark = pytest.mark.usefixtures("db")

MARCH = datetime(2026, 3, 31, tzinfo=UTC)
"""All of the recorded traces are younger than the ledger's horizon then."""
COUNTED = (
    "SELECT count(*), sum(input_tokens)::int, sum(output_tokens)::int FROM usage_event e"
    " WHERE NOT EXISTS (SELECT FROM event_disposition d WHERE d.event_key = e.event_key)"
)


def imported(path: Path, format: TraceFormat, *, now: datetime = MARCH) -> TraceResult:
    result = ingest_traces(open_traces(path, format), source="export", now=now, how=READ_AS_USUAL)
    assert [problem.message for problem in result.problems] == []
    return result


def test_recorded_traces_are_imported_once(shared_data: Path) -> None:
    """Two of the twelve are the same trace, which was changed between the exports."""
    files = sorted((shared_data / "langfuse-traces").glob("*.trace.json"))
    results = [imported(path, "langfuse") for path in files]
    assert sum(result.accepted for result in results) == 23
    assert sum(result.kept for result in results) > 40
    assert rows(COUNTED) == [(23, 10_261, 1_443)]
    again = [imported(path, "langfuse") for path in files]
    assert [result.accepted for result in again] == [0] * len(files)
    assert rows(COUNTED) == [(23, 10_261, 1_443)]
    for month in (Month(2025, 6), Month(2025, 8), Month(2026, 3)):
        assert list(check_month(month)) == []


def test_recorded_runs_are_imported(shared_data: Path) -> None:
    now = datetime(2024, 11, 1, tzinfo=UTC)
    for path in sorted((shared_data / "langsmith-runs").glob("*.json")):
        assert imported(path, "langsmith", now=now).accepted == 1
    assert rows(COUNTED) == [(4, 70, 1928)]
    assert rows("SELECT count(*) FROM usage_event WHERE usage_quality = 'estimated'") == [(1,)]


def run(number: int, **different: Any) -> dict[str, Any]:
    return {
        "id": f"run-{number}",
        "trace_id": f"run-{number}",
        "run_type": "llm",
        "start_time": "2026-03-30T12:00:00",
        "end_time": "2026-03-30T12:00:01",
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "total_tokens": 11,
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}},
        **different,
    }


RUNS = [run(number) for number in range(1_200)]


@pytest.mark.parametrize("layout", ["lines", "array", "gzip"])
def test_runs_come_as_lines_or_as_an_array(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "runs.jsonl"
    lines = "\n".join(map(json.dumps, RUNS[:50])).encode()
    contents = {
        "lines": lines,
        "array": json.dumps(RUNS[:50], indent=1).encode(),
        "gzip": gzip.compress(lines),
    }
    path.write_bytes(contents[layout])
    assert format_of(path) == "langsmith"
    assert imported(path, "langsmith").accepted == 50


def test_a_long_file_is_taken_in_block_by_block(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(map(json.dumps, RUNS)))
    seen: list[int] = []
    result = ingest_traces(
        open_traces(path, "langsmith"),
        source="export",
        now=MARCH,
        how=READ_AS_USUAL,
        on_progress=lambda result: seen.append(result.accepted),
    )
    assert result.accepted == 1_200
    assert seen == [500, 1_000, 1_200]


def test_a_bad_record_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    bad = json.dumps(run(2, prompt_tokens=-1))
    path.write_text("\n".join([json.dumps(RUNS[0]), bad, "{", "7", json.dumps(RUNS[1])]))
    heard: list[Outcome] = []
    result = ingest_traces(
        open_traces(path, "langsmith"),
        source="export",
        now=MARCH,
        how=READ_AS_USUAL,
        on_outcome=heard.append,
    )
    assert (result.accepted, result.rejected) == (2, 3)
    assert [(outcome.place, outcome.reason) for outcome in heard] == [
        ("line 2", "unreadable_usage"),
        ("line 3", "malformed_json"),
        ("line 4", "wrong_type"),
    ]


def test_spans_as_a_collector_writes_them_are_imported(tmp_path: Path) -> None:
    attributes = {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "gen_ai.provider.name": {"stringValue": "openai"},
        "gen_ai.request.model": {"stringValue": "gpt-4o-mini"},
        "gen_ai.usage.input_tokens": {"intValue": "10"},
        "gen_ai.usage.output_tokens": {"intValue": "2"},
    }
    start = int(datetime(2026, 3, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat gpt-4o-mini",
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 1_000_000_000),
        "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
    }
    export = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps(export) + "\n" + json.dumps(export) + "\n")
    assert format_of(path) == "otlp"
    assert imported(path, "otlp").accepted == 1
    assert rows(COUNTED) == [(1, 10, 2)]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[{]", b"plain text", b"\x1f\x8b\x08"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "traces.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"traces\.json"):
        open_traces(path, "langfuse")


def test_a_files_format_is_seen(shared_data: Path, tmp_path: Path) -> None:
    for path in (shared_data / "langfuse-traces").glob("*.trace.json"):
        assert format_of(path) == "langfuse"
    for path in (shared_data / "langsmith-runs").glob("*.json"):
        assert format_of(path) == "langsmith"
    native = tmp_path / "usage.jsonl"
    native.write_text('{"externalRequestId": "r", "provider": "openai", "model": "m"}\n')
    assert format_of(native) == "native"
    table = tmp_path / "usage.csv"
    table.write_text("model\nm\n")
    assert format_of(table) == "csv"
