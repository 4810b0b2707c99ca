"""Is a bill in the unit that it is read in?"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Final

from metering.domain.money import EXACT

NEAR: Final = Decimal("0.05")
"""How close to a power of ten the ratio must come; real differences hardly ever do."""

_MISTAKES: Final[Mapping[int, str]] = {
    100: "its amounts look like cents read as whole units",
    1000: "its amounts look like prices per thousand read as prices per one",
}


def unit_doubt(billed: Decimal, metered: Decimal) -> str | None:
    """What is odd about the bill's size: its usage is within 5 % of 100 or 1000 times (or of a
    hundredth or a thousandth) of the metered cost. `None` if nothing is, or nothing compares."""
    if billed <= 0 or metered <= 0:
        return None
    with localcontext(EXACT):
        ratio = billed / metered
        for times, mistake in _MISTAKES.items():
            if abs(ratio / times - 1) <= NEAR:
                return f"the bill is {times} times the metered cost: {mistake}"
            if abs(ratio * times - 1) <= NEAR:
                return (
                    f"the bill is 1/{times} of the metered cost: its amounts look like whole "
                    f"units read as {'cents' if times == 100 else 'thousandths'}"  # noqa: PLR2004
                )
    return None
