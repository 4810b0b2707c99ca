"""How much memory processes take: the peak of a child, told by itself; what children hold now."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def peak_kib() -> int:
    """This process's own mark, from /proc: what the system tells its parent counts the parent's
    memory as well, from the moment of the fork."""
    marks = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(marks["VmHWM"].split()[0])


def peak_of(module: str, *arguments: str) -> int:
    """Run a module that ends by printing its `peak_kib`."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1])


def resident_kib(named: str) -> int:
    """What this process's descendants hold in memory now that have the word in their command."""
    return sum(
        _resident_kib(pid)
        for pid in _descendants(os.getpid())
        if named.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _resident_kib(pid: int) -> int:
    marks = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return int(marks["VmRSS"].split()[0])
