"""`export` writes a whole file or none, and says what is wrong with the place."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from metering.ingestion import ingest
from tests.metering.events import NOW, call

pytestmark = pytest.mark.django_db


def export(out: Path) -> dict[str, object]:
    said = StringIO()
    call_command("export", "usage", "2026-10", "--out", str(out), "--json", stdout=said)
    answer: dict[str, object] = json.loads(said.getvalue())
    return answer


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    ingest([call("a"), call("b")], now=NOW)
    out = tmp_path / "exports" / "2026-10" / "usage.jsonl"
    assert export(out) == {"file": str(out), "lines": 2}
    assert len(out.read_text().splitlines()) == 2
    assert [path.name for path in out.parent.iterdir()] == ["usage.jsonl"]


def test_a_month_that_is_none_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="YYYY-MM"):
        call_command("export", "usage", "2026-13", "--out", str(tmp_path / "new" / "usage.jsonl"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a folder; name a file in it"):
        export(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="file"):
        export(tmp_path / "file" / "usage.jsonl")


def test_a_pipe_is_written_and_never_replaced(tmp_path: Path) -> None:
    ingest([call("a"), call("b")], now=NOW)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    said, beside = StringIO(), StringIO()
    try:
        call_command("export", "usage", "2026-10", "--out", str(pipe), stdout=said, stderr=beside)
        lines = os.read(reader, 65_536).splitlines()
    finally:
        os.close(reader)
    assert [set(json.loads(line)) >= {"eventKey", "cost"} for line in lines] == [True, True]
    assert pipe.is_fifo()
    assert (said.getvalue(), beside.getvalue()) == ("", f"2 lines in {pipe}\n")
