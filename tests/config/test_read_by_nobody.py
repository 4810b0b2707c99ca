"""`manage.py … | head`: a command whose reader has gone ends without a word."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from config.read_by_nobody import ENDED_BY_SIGPIPE, quietly
from metering.ingestion import ingest
from tests.databases import ROOT
from tests.metering.events import NOW, call
from tests.serving import child_environment


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "--json"),
        ("export", "usage", "2026-10", "--out", "/dev/stdout"),
    ],
)
def test_a_command_that_nobody_reads_ends_quietly(
    arguments: tuple[str, ...], fresh_db: str
) -> None:
    ingest([call("a")], now=NOW)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=child_environment(fresh_db),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert ended.stderr == ""
    assert ended.returncode == ENDED_BY_SIGPIPE


def test_a_pipe_that_breaks_elsewhere_is_a_failure() -> None:
    with pytest.raises(BrokenPipeError), quietly():
        raise BrokenPipeError


def test_what_is_read_ends_as_it_would_without() -> None:
    with quietly():
        sys.stdout.write("read\n")
    with pytest.raises(SystemExit, match="no"), quietly():
        sys.exit("no")
