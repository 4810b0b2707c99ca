"""`import_usage`: what a person sees, what a program reads, and what is stored."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from metering.files import file_ingestion

pytestmark = pytest.mark.django_db


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "externalRequestId": f"r{number}",
        "eventId": f"e{number}",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "occurredAt": "2026-10-03T12:00:00Z",
        "inputTokens": number,
        **fields,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "usage.jsonl"


def write(path: Path, *sent: dict[str, Any] | str) -> Path:
    path.write_text(
        "".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in sent)
    )
    return path


def run(*args: object, code: int = 0) -> str:
    out = StringIO()
    try:
        call_command("import_usage", *map(str, args), stdout=out)
        left = 0
    except SystemExit as stop:
        left = int(str(stop.code))
    assert left == code
    return out.getvalue()


def stored() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT external_request_id FROM usage_event")
        return {request for (request,) in cursor.fetchall()}


def test_a_good_file_is_taken_in_and_importing_it_again_changes_nothing(file: Path) -> None:
    write(file, event(1), event(2))
    first = json.loads(run(file, "--json"))
    assert (first["accepted"], first["duplicates"], first["rejected"]) == (2, 0, 0)
    assert (first["format"], first["source"]) == ("native", "file")
    again = json.loads(run(file, "--json"))
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert stored() == {"r1", "r2"}


def test_good_lines_are_stored_beside_bad_ones_and_the_exit_code_is_one(
    file: Path, tmp_path: Path
) -> None:
    rejects = tmp_path / "rejects.jsonl"
    write(
        file,
        event(1),
        "{broken",
        "",
        event(2, provider="nobody-knows-it"),
        event(1, inputTokens=7),
        event(3, latencyMs=-4),
        event(4),
    )
    said = run(file, "--rejects", rejects, code=1)
    assert stored() == {"r1", "r4"}
    written = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(line["place"], line["outcome"], line["reason"]) for line in written] == [
        ("line 2", "rejected", "malformed_json"),
        ("line 4", "rejected", "unknown_provider"),
        ("line 5", "conflict", "same_key_other_content"),
        ("line 6", "rejected", "out_of_range"),
    ]
    assert written[3]["key"] == "e3"
    assert "accepted              2" in said
    assert "rejected              3" in said
    assert "line 6: rejected (out_of_range): " in said


def test_places_stay_right_beyond_one_batch(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_ingestion, "BLOCK", 5)
    rejects = tmp_path / "rejects.jsonl"
    write(file, *["" if n % 3 == 0 else event(n % 7) for n in range(1, 60)], "{broken")
    run(file, "--rejects", rejects, code=1)
    places = [json.loads(line)["place"] for line in rejects.read_text().splitlines()]
    assert places == ["line 60"]


def test_only_the_first_problems_are_shown(file: Path) -> None:
    write(file, *["{broken"] * 25)
    said = run(file, code=1)
    assert said.count("malformed_json") == 10
    assert "… and 15 more" in said


def test_csv_with_a_column_map(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text("Request,provider,Model,Tokens,Remark\nr1,openai,gpt-4o-mini,540,x\n")
    maps = ["externalRequestId=Request", "model=Model", "inputTokens=Tokens"]
    said = run(file, *[f"--map={pair}" for pair in maps], "--source", "erp")
    assert "columns not used: Remark" in said
    assert "(csv, source erp)" in said
    assert stored() == {"r1"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--map", "model"], "FIELD=COLUMN"),
        (["--map", "model=a", "--map", "model=b"], "mapped to 'a' already"),
        (["--map", "model=Model"], "column map"),
        (["--format", "csv"], "externalRequestId"),
        (["--rejects", "/nonexistent/rejects"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_stored(
    file: Path, args: list[str], said: str
) -> None:
    write(file, event(1))
    with pytest.raises(CommandError, match=said):
        run(file, *args)
    assert stored() == set()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run(tmp_path / "none.jsonl")
