"""Spans as real libraries send them: Langfuse's own cases and traces, and the specification's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metering.domain.call_reports import SUPPOSED, CallReport
from metering.domain.usage import COUNTS, Rejection
from metering.formats.otlp import traces as wire
from metering.providers.counts import Counts
from metering.providers.dialects import read_usage
from tests.metering.formats.otlp.requests import (
    NOW,
    a_span,
    any_value,
    as_json,
    export,
    read,
    report,
    spans_in,
)

EXPECTED = re.compile(r"usageDetails\.(\w+),? ?\)\.toBe\( ?(\d+),? ?\)")
OBJECT = re.compile(r"usageDetails\)\.toMatchObject\(\{(.*?)\}\)")
MEMBER = re.compile(r"(\w+): (\d+)")
SUPPOSABLE = ("input_tokens", "output_tokens")


def counts_of(fields: dict[str, Any]) -> Counts:
    """The counts that an event of these fields has."""
    if "usage" in fields:
        return read_usage(fields["usage"], declared=fields["usage_format"]).counts
    return Counts(**{name: fields[name] for name in fields if name in COUNTS})


def buckets(fields: dict[str, Any]) -> dict[str, int]:
    """The counts in Langfuse's disjoint buckets."""
    counts = counts_of(fields)
    read_, written = counts.cached_input_tokens or 0, counts.cache_write_tokens or 0
    hourly, reasoning = counts.cache_write_1h_tokens or 0, counts.reasoning_tokens or 0
    return {
        "input": (counts.input_tokens or 0) - read_ - written,
        "input_cached_tokens": read_,
        "input_cache_creation": written,
        "input_cache_creation_5m": written - hourly,
        "input_cache_creation_1h": hourly,
        "input_audio_tokens": counts.audio_input_tokens or 0,
        "output": (counts.output_tokens or 0) - reasoning,
        "output_reasoning": reasoning,
        "output_audio_tokens": counts.audio_output_tokens or 0,
        "total": (counts.input_tokens or 0) + (counts.output_tokens or 0),
    }


def cases(shared_data: Path) -> Iterator[tuple[str, dict[str, int], list[dict[str, Any]]]]:
    """Each recorded case that expects usage: its title, what is expected, its spans."""
    recorded = json.loads((shared_data / "otlp-langfuse/otelMapping.cases.json").read_bytes())
    for case in recorded:
        said = " ".join(case["expects"])
        members = " ".join(OBJECT.findall(said))
        expected = {
            name: int(count) for name, count in EXPECTED.findall(said) + MEMBER.findall(members)
        }
        if expected:
            yield case["title"], expected, list(spans_in(case["spans"]))


def test_usage_is_what_langfuse_expects(shared_data: Path) -> None:
    found = 0
    for title, expected, spans in cases(shared_data):
        [item] = read({"resourceSpans": spans})
        assert isinstance(item, CallReport), title
        ours = buckets(item.fields)
        if "input_cache_creation_5m" in expected:
            del expected["input_cache_creation"]  # 0 beside its split, which is all there is
        # cached audio has no field of its own
        expected.pop("cache_audio_read_tokens", None)
        assert {name: ours[name] for name in expected} == expected, title
        assert "usage_quality" not in item.fields, title
        found += 1
    assert found == 7


def test_no_recorded_span_is_too_odd_to_be_read(shared_data: Path) -> None:
    calls = others = 0
    for path in sorted((shared_data / "otlp-langfuse").glob("*.cases.json")):
        for case in json.loads(path.read_bytes()):
            for span in spans_in(case["spans"]):
                for item in wire.read(as_json({"resourceSpans": [span]}), "json", received_at=NOW):
                    if isinstance(item, Rejection):
                        assert item.reason in ("invalid_id", "past_time")
                    elif item.is_call is False:
                        others += 1
                    else:
                        calls += 1
    assert (calls, others) == (14, 43)


TABLE_FIELDS = {
    "usageDetails.input": "input",
    "usageDetails.output": "output",
    "usageDetails.input_cache_read": "input_cached_tokens",
}


def rows(shared_data: Path) -> Iterator[tuple[str, str, Any, Any]]:
    """Langfuse's table of attributes: (the field, the attribute, its value, what it means)."""
    tables = json.loads((shared_data / "otlp-langfuse/otelMapping.tables.json").read_bytes())
    for table in tables:
        for row in table["rows"]:
            if isinstance(row, list) and len(row) == 2 and isinstance(row[1], dict):
                said = row[1]
                if "otelAttributeKey" in said:
                    yield (
                        said["entityAttributeKey"],
                        said["otelAttributeKey"],
                        said["otelAttributeValue"],
                        said.get("entityAttributeValue"),
                    )


def test_attributes_mean_what_langfuse_takes_them_for(shared_data: Path) -> None:
    seen = set()
    for field, name, value, expected in rows(shared_data):
        span = a_span({"gen_ai.operation.name": "chat"})
        span["attributes"].append({"key": name, "value": value})
        [item] = wire.read(as_json(export(span)), "json", received_at=NOW)
        assert isinstance(item, CallReport)
        fields = item.fields
        if field in TABLE_FIELDS:
            assert buckets(fields)[TABLE_FIELDS[field]] == expected, name
        elif field == "model":
            assert fields["model"] == expected, name
        elif field == "userId":
            assert fields["user_id"] == expected, name
        elif field == "tags":
            assert fields["tags"] == dict.fromkeys(expected, "true"), name
        elif field == "environment" and expected == "test":
            assert fields["environment"] == "dev", name
        else:
            continue
        seen.add(field)
    assert {"usageDetails.input", "model", "userId", "tags", "environment"} <= seen


@pytest.mark.parametrize("kind", ["OpenInference %s span", "OTel GenAI %s", "AI SDK %s"])
def test_kinds_of_spans_are_what_langfuse_takes_them_for(kind: str, shared_data: Path) -> None:
    tables = json.loads((shared_data / "otlp-langfuse/otelMapping.tables.json").read_bytes())
    [table] = [table for table in tables if f"should map {kind}" in table["title"]]
    attribute = {
        "OpenInference %s span": "openinference.span.kind",
        "OTel GenAI %s": "gen_ai.operation.name",
        "AI SDK %s": "operation.name",
    }[kind]
    for said, event in table["rows"]:
        if said == "ai.generateObject":
            continue  # the outer span, whose usage is that of the inner
        call = report({attribute: said, "ai.model.id": "a-model"}).is_call
        assert call is (event in ("generation-create", "embedding-create")), said


def traces(shared_data: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for path in sorted((shared_data / "langfuse-traces").glob("*.trace.json")):
        yield path.name, json.loads(path.read_bytes())["observations"]


def a_recorded(observation: dict[str, Any]) -> CallReport | None:
    """The span that a library sent for the observation; `None` for Langfuse's own SDK, whose
    attributes the export leaves out."""
    metadata = observation.get("metadata") or {}
    if isinstance(metadata, str):
        metadata = json.loads(metadata)
    attributes = metadata.get("attributes") or {}
    if not attributes:
        return None
    scope = metadata.get("scope") or {}
    span = a_span({})
    span["attributes"] = [{"key": k, "value": any_value(str(v))} for k, v in attributes.items()]
    [item] = read(export(span, scope=scope.get("name") or "", version=scope.get("version") or ""))
    assert isinstance(item, CallReport)
    return item


def test_frameworks_traces_come_to_their_calls(shared_data: Path) -> None:
    """Every generation is a call and nothing above one is; their tokens are what Langfuse has."""
    calls = 0
    for name, observations in traces(shared_data):
        for observation in observations:
            item = a_recorded(observation)
            if item is None:
                continue
            generation = observation["type"] in ("GENERATION", "EMBEDDING")
            assert bool(item.is_call) is generation, (name, observation["name"])
            if not generation:
                continue
            calls += 1
            told = observation["usageDetails"]
            counts = counts_of(item.fields)
            if counts.input_tokens is not None:
                assert counts.input_tokens == told["input"], (name, observation["name"])
                assert counts.output_tokens == told["output"], (name, observation["name"])
            assert item.fields.get("model") or item.fields.get("model_executed")
            assert {"provider", f"{SUPPOSED}provider"} & item.fields.keys()
    assert calls == 21


def test_the_specifications_example_is_taken(shared_data: Path) -> None:
    body = (shared_data / "otlp-proto-examples/trace.json").read_bytes()
    [item] = wire.read(body, "json", received_at=NOW)
    assert isinstance(item, CallReport)
    assert item.trace_id == "5b8efff798038103d269b633813fc60c"
    assert item.parent_span_id == "eee19b7ec3c1b173"
    assert item.is_call is False
