"""Several programs as one: whatever ends, all end, and it is said what did."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.environment import ROOT

SUPERVISE = """
import sys
from pathlib import Path
from config.supervisor import Program, supervise
sys.exit(supervise(
    [Program(name, (sys.executable, "-c", text))
     for name, text in zip(sys.argv[1::2], sys.argv[2::2])],
    folder=Path.cwd(), environment={}, output=sys.stdout,
    is_ready=lambda: True, on_ready=lambda: print("ready", flush=True),
))
"""
LIVES = "import signal; print('lives', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LIVES


def holding(listener: Path) -> str:
    """A program that lives for as long as nobody ends it, and that we can tell the end of: it holds
    a connection to the socket."""
    return (
        "import signal, socket; held = socket.socket(socket.AF_UNIX); "
        f"held.connect({str(listener)!r}); signal.pause()"
    )


@contextmanager
def supervised(**programs: str) -> Iterator[subprocess.Popen[str]]:
    named = [part for program in programs.items() for part in program]
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, *named],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], *wanted: str) -> list[str]:
    """What it says, until all of these were said."""
    assert process.stdout is not None
    said: list[str] = []
    left = set(wanted)
    for line in process.stdout:
        said.append(line.rstrip("\n"))
        left -= {part for part in left if part in line}
        if not left:
            return said
    raise AssertionError(f"never said {left}, but: {said}")


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_with_success(asked: signal.Signals) -> None:
    with supervised(web=LIVES, worker=LIVES) as process:
        said = lines_until(process, "web    | lives", "worker | lives", "ready")
        assert len(said) == 3
        process.send_signal(asked)
        rest, _ = process.communicate(timeout=30)
        assert (process.returncode, rest) == (0, "\nstopping\n")


def test_who_ends_by_itself_is_named_and_ends_the_rest() -> None:
    with supervised(web=LIVES, worker="import sys; print('no broker'); sys.exit(3)") as process:
        said = lines_until(process, "worker ended with status 3; stopping the rest")
        assert "worker | no broker" in said
        assert process.wait(timeout=30) == 1


def test_who_was_killed_is_named() -> None:
    with supervised(web="import os; os.kill(os.getpid(), 9)", beat=LIVES) as process:
        lines_until(process, "web was ended by SIGKILL; stopping the rest")
        assert process.wait(timeout=30) == 1


def test_asked_twice_it_waits_for_nobody() -> None:
    with supervised(web=STUBBORN) as process:
        lines_until(process, "lives", "ready")
        process.send_signal(signal.SIGINT)
        lines_until(process, "stopping")
        process.send_signal(signal.SIGINT)
        lines_until(process, "killing web")
        assert process.wait(timeout=30) == 0


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        with supervised(web=holding(place)) as process:
            held, _ = listener.accept()
            with held:
                lines_until(process, "ready")
                os.kill(process.pid, signal.SIGKILL)
                held.settimeout(30)
                assert held.recv(1) == b""
