"""How large the made-up month is: what a minute on two cores has room for, all steps included."""

from __future__ import annotations

from typing import Final

EVENTS: Final = 120_000
"""Calls made up, unless the command is asked for another number."""
CUSTOMERS: Final = 40
