"""An interpreter with LiteLLM, in a venv of its own: it brings forty libraries that nothing here
needs."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.databases import ROOT

LITELLM: Final = "litellm==1.106.2"
_HOME: Final = ROOT / "var" / "litellm"


def litellm_python() -> Path | None:
    """The interpreter; installed by the first who asks. `None` where the package index cannot be
    reached."""
    python = _HOME / "bin" / "python"
    marker = _HOME / LITELLM
    if not marker.exists():
        print(f"installing {LITELLM} into {_HOME} …", file=sys.stderr)
        venv.create(_HOME, with_pip=True, clear=True)
        installed = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", LITELLM], check=False
        )
        if installed.returncode:
            return None
        marker.touch()
    return python
