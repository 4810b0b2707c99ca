"""How often Python looks for cyclic garbage."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """For processes that hold large books (prices, cells) all their life and make few cycles:
    looking through them again every 700 objects costs a third of a month's run."""
    gc.set_threshold(50_000, 20, 50)
