"""The month made up beside the demo: the same as made here, and told where it cannot be made."""

from __future__ import annotations

import multiprocessing
from dataclasses import astuple
from pathlib import Path

import pytest

from billing.demo.documents import MadeMonth, MonthFiles, write_month
from billing.demo.making import MakingFailed, month_of

EVENTS = 300


def written(files: MonthFiles) -> list[bytes]:
    return [path.read_bytes() for path in astuple(files)]


def test_it_is_the_month_that_is_made_here(tmp_path: Path) -> None:
    here = write_month(tmp_path / "here", EVENTS)
    with month_of(EVENTS, tmp_path / "beside") as month:
        files = month.files()
        assert files == MonthFiles.within(tmp_path / "beside")
        assert files.plans.read_bytes() == here.files.plans.read_bytes()
        made = month.made()
        assert month.made() is made
    assert made == MadeMonth(files, here.lines, here.bills)
    assert written(files) == written(here.files)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with month_of(EVENTS, tmp_path / "file" / "in") as month, pytest.raises(NotADirectoryError):
        month.files()


def test_a_process_that_ends_before_it_is_done_is_told(tmp_path: Path) -> None:
    with month_of(10_000_000, tmp_path) as month:
        month.files()
        (process,) = [x for x in multiprocessing.active_children() if x.name == "month"]
        process.kill()
        with pytest.raises(MakingFailed, match="with code -9"):
            month.made()


def test_it_ends_with_the_block(tmp_path: Path) -> None:
    with month_of(10_000_000, tmp_path) as month:
        month.files()
    assert [x for x in multiprocessing.active_children() if x.name == "month"] == []
