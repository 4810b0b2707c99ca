"""A killed demo: the process that makes up its month does not go on without it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import ROOT

pytestmark = pytest.mark.outside

BEGINS = """
import sys
from pathlib import Path
from billing.demo.making import month_of

with month_of(100_000_000, Path(sys.argv[1])) as month:
    month.files()
    print("begun", flush=True)
    month.made()
"""
PATIENCE_SECONDS = 60


def test_the_month_is_not_made_up_for_nobody(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BEGINS, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == b"begun\n"
        demo.send_signal(signal.SIGKILL)
        # Its copy has the same output: that ends only when both have gone.
        said, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    assert said == b""
