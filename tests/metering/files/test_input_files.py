"""Every command that takes a file says what is wrong with one that cannot be read."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from metering.domain.usage import Rejection
from metering.files import usage_lines
from metering.files.input_files import UnreadableInput, content_of, text_of
from metering.files.usage_lines import TextFile, UnreadableText

IMPORTS = {
    "import_usage": ("--format", "native"),
    "import_owners": (),
    "import_budgets": (),
    "import_drivers": (),
    "import_rules": (),
    "import_plans": (),
    "import_bill": ("--provider", "openai"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("command", IMPORTS)
@pytest.mark.parametrize("kind", ["folder", "missing", "empty", "device", "pipe"])
def test_what_is_no_file_to_read(command: str, kind: str, tmp_path: Path) -> None:
    path, said = tmp_path / "given", kind
    if kind == "folder":
        path.mkdir()
    elif kind == "missing":
        said = "cannot be read: No such file"
    elif kind == "empty":
        path.touch()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        os.mkfifo(path)
    with pytest.raises(CommandError) as refused:
        call_command(command, str(path), *IMPORTS[command])
    assert str(path) in str(refused.value)
    assert said in str(refused.value)
    assert "Errno" not in str(refused.value)


@pytest.mark.parametrize("form", ["native", "opsmeter", "csv", "parquet", None])
def test_usage_from_a_device_ends_in_a_refusal_whatever_the_format(form: str | None) -> None:
    chosen = () if form is None else ("--format", form)
    with pytest.raises(CommandError, match="/dev/zero is a device"):
        call_command("import_usage", "/dev/zero", *chosen)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shut.csv"
    path.write_text("kind,key,target\n")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UnreadableInput, match=r"shut\.csv cannot be read: Permission denied"):
        content_of(path)


def test_a_path_with_nul_and_text_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="no path"):
        content_of(Path("a\0b"))
    path = tmp_path / "latin.csv"
    path.write_bytes("kind,key\nÄ".encode("latin-1"))
    with pytest.raises(UnreadableInput, match="save it as UTF-8"):
        text_of(path)
    path.write_bytes("\ufeffa\r\nb".encode())
    assert text_of(path) == "a\r\nb"


def test_a_line_without_end_stops_the_reading_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "endless.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"a":1}\n')
        for _ in range(64):
            file.write(b"\0" * (1 << 20))
        file.write(b'\n{"a":2}\n')
    tracemalloc.start()
    try:
        first, last = TextFile(path).lines()
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert first.content == b'{"a":1}'
    assert isinstance(last.content, Rejection)
    assert (last.content.place, last.content.reason) == ("line 2", "no_line_end")
    assert "10 MiB" in last.content.message


def test_a_long_line_with_an_end_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(b"x" * (usage_lines.MAX_SKIPPED - usage_lines.BLOCK) + b"\n{}\n")
    too_long, good = TextFile(path).lines()
    assert isinstance(too_long.content, Rejection)
    assert too_long.content.reason == "line_too_long"
    assert good.content == b"{}"


def test_a_name_that_promises_gzip(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl.gz"
    path.write_bytes(b'{"externalRequestId":"r1"}\n')
    with pytest.raises(UnreadableText, match=r"ends in \.gz, but the content is not gzip"):
        TextFile(path)
