"""How often Python looks for cyclic garbage."""

from __future__ import annotations

import atexit
import gc
import sys


def collect_rarely() -> None:
    """For processes that hold large books (prices, cells) all their life and make few cycles:
    looking through them again every 700 objects costs a third of a month's run. A batch of some
    thousand events is no garbage before it is stored, and is not looked through as it grows. Nor
    is anything at the end, which takes half a second: the system takes back what they hold."""
    gc.set_threshold(250_000, 20, 50)
    atexit.register(_look_no_more)


def _look_no_more() -> None:
    if "duckdb" not in sys.modules:  # which takes what it finds left at the end for its own leaks
        gc.freeze()
