"""How the made-up bills differ from the metered usage, and by how much: known before anything runs.

Each difference has cells of its own (project, day, model), so that what the reconciliation finds
can be compared with what was planted to the last digit.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from allocation.domain.variances import Cause

WEB_PROJECT: Final = "proj_web"
JOBS_PROJECT: Final = "proj_jobs"
BYPASS_PROJECT: Final = "proj_lab"
"""A project whose key somebody uses past the metering: on the bill only."""

APP_WORKSPACE: Final = "wrkspc_app"

BYPASS_MODEL: Final = "gpt-5-mini"
BYPASS_TOKENS: Final = {"input": 10_000_000, "output": 1_000_000}
BYPASS_DAYS: Final = range(5, 27, 7)

REFUSED_MODEL: Final = "gpt-5-mini"
REFUSED_DAY: Final = 9
"""A day on which the provider refused what this model was asked: metered, never billed."""

PREVIEW_MODEL: Final = "orion-preview-1009"
PREVIEW_PRICES: Final = {
    "input": Decimal("0.000003"),
    "cache_read": Decimal("0.0000003"),
    "output": Decimal("0.000015"),
}
"""What the provider bills for the private preview; no price list that we have names it."""

REROUTED_MODEL: Final = "claude-opus-5-5"
REROUTED_TO: Final = "claude-opus-4-8"
REROUTED_DAYS: Final = (14, 15)
"""Days on which the provider answered with an older model, which the application never noticed."""

DRIFT_MODEL: Final = "gpt-4.1-mini"
DRIFT_MODEL_BILLED: Final = "gpt-4.1-mini-2025-04-14"
DRIFT_FROM_DAY: Final = 20
DRIFT_FACTOR: Final = Decimal("1.25")
"""A contract price that rose, which nobody told the price list."""

ODD_MODEL: Final = "claude-haiku-4-5"
ODD_DAY: Final = 17
ODD_AMOUNT: Final = Decimal("7.77")
"""One day's output line that gives no token count and asks for more: nothing explains it."""

STORAGE_FEE: Final = Decimal("18.60")
PROMOTION: Final = Decimal("-25.00")
TAX_PERCENT: Final = Decimal(8)

BILL_DECIMALS: Final = 6
"""Each line of a bill is rounded half-even to a millionth of a dollar."""


class Planted(NamedTuple):
    """One planted difference: bill minus metered cost of its cells, exactly, in dollars."""

    provider: str
    cause: Cause
    amount: Decimal
    lines: int
    what: str


STORIES: Final[dict[Cause, str]] = {
    "unmetered": f"project {BYPASS_PROJECT} is used past the metering",
    "metered_not_billed": f"{REFUSED_MODEL} refused its calls of day {REFUSED_DAY}",
    "unpriced": f"{PREVIEW_MODEL} has no price in any list",
    "executed_not_requested": f"{REROUTED_MODEL} was answered by {REROUTED_TO} on two days",
    "price_difference": f"{DRIFT_MODEL} at {DRIFT_FACTOR} of its price from day {DRIFT_FROM_DAY}",
    "rounding": f"each line is rounded to {BILL_DECIMALS} decimals",
    "fees": "file search storage",
    "credits": "a promotional credit",
    "tax": f"{TAX_PERCENT} % tax",
    "unexplained": f"an output line of {ODD_MODEL} that nothing explains",
}
