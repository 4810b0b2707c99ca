"""The order in which LangSmith's runs stand below one another, by which it names them too."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple

_SEGMENT: Final = re.compile(r"(\d{8}T\d{12})Z(.+)")
_MAX_DEPTH: Final = 200


class Order(NamedTuple):
    """What `dotted_order` tells: when the run began, and the runs above it, outermost first."""

    started_at: datetime | None
    above: tuple[str, ...]
    own: str | None


def order_of(dotted: str | None) -> Order:
    """What `dotted_order` tells; nothing of it where it is none."""
    segments = (dotted or "").split(".")[:_MAX_DEPTH]
    found = [match for segment in segments if (match := _SEGMENT.fullmatch(segment))]
    if not found:
        return Order(None, (), None)
    ids = [match[2][:200] for match in found]
    try:
        time = found[-1][1]
        began = datetime.fromisoformat(f"{time[:15]}.{time[15:]}+00:00")
    except ValueError:
        began = None
    return Order(began, tuple(ids[:-1]), ids[-1])
