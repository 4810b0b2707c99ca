"""The peak memory of a process, told by a child of its own."""

from __future__ import annotations

import subprocess
import sys
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
