"""Files of other products' usage: their own records, one a line, and what the importer adds."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from metering.domain.usage import Rejection, UsageEvent
from metering.files.usage_files import UnreadableFile, guess_format, open_usage
from tests.metering.api.keys import rows
from tests.metering.formats.litellm_records import RECORD
from tests.metering.formats.test_metered_events import CLOUD, LAGO
from tests.metering.formats.test_provider_responses import CHAT

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GOOD: dict[str, dict[str, Any]] = {
    "litellm": RECORD,
    "openmeter": CLOUD,
    "lago": LAGO,
    "responses": CHAT,
}
by_format = pytest.mark.parametrize("name", GOOD)


def written(folder: Path, *records: object) -> Path:
    path = folder / "usage.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def read(path: Path, **options: Any) -> list[UsageEvent | Rejection]:
    return [item for _, item in open_usage(path, source="f", received_at=NOW, **options).items]


@by_format
def test_the_format_is_said_or_seen(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, GOOD[name])
    assert guess_format(path) == name
    assert read(path) == read(path, format=name)
    (event,) = read(path)
    assert isinstance(event, UsageEvent)


@by_format
def test_a_bad_record_costs_itself_only(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, {}, GOOD[name], [])
    found = read(path, format=name)
    assert [type(item) for item in found] == [Rejection, UsageEvent, Rejection]
    assert [item.place.partition(",")[0] for item in found if isinstance(item, Rejection)] == [
        "line 1",
        "line 3",
    ]


def test_an_array_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.write_text(json.dumps([LAGO, {**LAGO, "transaction_id": "txn-2"}]))
    assert len(read(path)) == 2


def test_the_importer_says_what_records_do_not(tmp_path: Path) -> None:
    record = {**LAGO, "properties": {"engine": "our-llama", "n": 5, "konzern": "acme", "team": "a"}}
    (event,) = read(
        written(tmp_path, record),
        provider="vllm",
        column_map={
            "model": "engine",
            "inputTokens": "n",
            "tenantId": "konzern",
            "tags.squad": "team",
        },
    )
    assert isinstance(event, UsageEvent), event
    assert (event.provider, event.model, event.input_tokens) == ("vllm", "our-llama", 5)
    assert (event.tenant_id, event.tags) == ("acme", {"squad": "a"})
    (answer,) = read(written(tmp_path, {**CHAT, "model": "our-llama"}), provider="vllm")
    assert isinstance(answer, UsageEvent)
    (logged,) = read(
        written(tmp_path, {**RECORD, "request_tags": ["konzern:acme"]}),
        column_map={"tenantId": "konzern"},
    )
    assert isinstance(logged, UsageEvent)
    assert logged.tenant_id == "acme"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "litellm", "provider": "vllm"}, "name their provider themselves"),
        ({"format": "native", "column_map": {"model": "m"}}, "a column map is for"),
        ({"format": "lago", "column_map": {"shoeSize": "m"}}, "'shoeSize' cannot be mapped"),
        ({"format": "litellm", "column_map": {"model": "m"}}, "'model' cannot be mapped"),
    ],
)
def test_what_the_importer_cannot_say(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UnreadableFile, match=said):
        read(written(tmp_path, LAGO), **options)


def test_a_process_beside_the_reader_can_parse_too(tmp_path: Path) -> None:
    usage = open_usage(
        written(tmp_path, LAGO), source="f", received_at=NOW, column_map={"tenantId": "konzern"}
    )
    again = pickle.loads(pickle.dumps(usage.parse))
    assert [again(unit) for unit in usage.units] == [
        (f"line {number}", item)
        for number, item in enumerate(
            read(written(tmp_path, LAGO), column_map={"tenantId": "konzern"}), 1
        )
    ]


@pytest.mark.usefixtures("db")
def test_the_command_takes_them_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {**LAGO, "properties": {"model": "llama", "tokens": 5, "type": "input"}}
    path = written(tmp_path, record)
    arguments = ("--format", "lago", "--provider", "groq", "--source", "lago-export", "--json")
    call_command("import_usage", str(path), *arguments)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["format"], answer["accepted"]) == ("lago", 1)
    assert rows("SELECT source, provider, tenant, input_tokens FROM usage_event") == [
        ("lago-export", "groq", "sub_42", 5)
    ]
