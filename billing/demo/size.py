"""How large the made-up month is: its steps, from usage to proof, take less than a minute on two
cores."""

from __future__ import annotations

from typing import Final

EVENTS: Final = 196_000
"""Calls made up, unless the command is asked for another number; with what is tried again, reported
twice or told wrongly they make 200,000 lines of usage."""
CUSTOMERS: Final = 40
