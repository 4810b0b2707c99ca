"""Files of OpenTelemetry's exports in protobuf, and the command that imports traces."""

from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metering.domain.usage import Rejection
from metering.files.otlp_frames import open_frames
from tests.metering.api.keys import rows
from tests.metering.api.test_otlp import span
from tests.metering.formats.otlp.requests import as_json, as_protobuf, export


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def written(tmp_path: Path, content: bytes, name: str = "spans.pb") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def messages(path: Path) -> list[bytes | Rejection]:
    frames = open_frames(path)
    assert frames is not None
    return [content for _, content in frames.messages]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_messages_stand_after_their_lengths(tmp_path: Path, pack: Any) -> None:
    exports = [as_protobuf(export(span())) for _ in range(3)]
    assert messages(written(tmp_path, pack(framed(*exports)))) == exports
    assert messages(written(tmp_path, pack(exports[0]))) == [exports[0]]


def test_text_is_left_to_others(tmp_path: Path) -> None:
    assert open_frames(written(tmp_path, as_json(export(span())))) is None
    assert open_frames(written(tmp_path, b"\n [\n" + as_json(export(span())) + b"]")) is None
    assert open_frames(written(tmp_path, b"")) is None


def test_a_file_that_is_cut_off_says_where(tmp_path: Path) -> None:
    exports = [as_protobuf(export(span())) for _ in range(2)]
    for content in (framed(*exports)[:-5], gzip.compress(framed(*exports) * 50)[:-20]):
        *whole, last = messages(written(tmp_path, content))
        assert all(isinstance(each, bytes) for each in whole)
        assert isinstance(last, Rejection)
        assert last.reason == "damaged_file"


def command(path: Path, *options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("import_usage", str(path), "--json", *options, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.mark.django_db
def test_the_command_imports_traces_in_either_encoding(tmp_path: Path) -> None:
    exports = [export(span(), span()) for _ in range(2)]
    binary = written(tmp_path, framed(*map(as_protobuf, exports)))
    lines = written(tmp_path, b"\n".join(map(as_json, exports)), "spans.jsonl")
    assert command(binary, "--format", "otlp")["accepted"] == 4
    again = command(lines)
    assert (again["format"], again["accepted"], again["duplicates"]) == ("otlp", 0, 4)
    assert rows("SELECT DISTINCT source, tenant FROM usage_event") == [("file", "acme")]


@pytest.mark.django_db
def test_a_map_names_the_attributes_of_ones_own(tmp_path: Path) -> None:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 5,
        "acct": "globex",
    }
    path = written(tmp_path, as_json(export(span(told))), "spans.json")
    assert command(path, "--map", "tenantId=acct")["accepted"] == 1
    assert rows("SELECT tenant FROM usage_event") == [("globex",)]
    with pytest.raises(CommandError, match="cannot be mapped"):
        command(path, "--map", "inputTokens=acct")


@pytest.mark.django_db
def test_what_is_no_export_costs_itself_only(tmp_path: Path) -> None:
    good = as_protobuf(export(span()))
    path = written(tmp_path, framed(good, b"\xff\xff", as_protobuf(export(span()))))
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("import_usage", str(path), "--json", "--format", "otlp", stdout=out)
    found = json.loads(out.getvalue())
    assert (found["accepted"], found["rejected"]) == (2, 1)
    assert found["problems"][0]["place"] == "message 2"
