"""How large the made-up month is: its steps, from usage to proof, take less than a minute on two
cores."""

from __future__ import annotations

from typing import Final

EVENTS: Final = 200_000
"""Calls made up, unless the command is asked for another number."""
CUSTOMERS: Final = 40
