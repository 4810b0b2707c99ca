"""The native endpoint (`usage.py`) for a small post that is in order, without Django's request:
what it brings, and the answer once that has been taken in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from django.http import HttpResponse
from django.utils.http import parse_header_parameters

from metering.api.posted import Posted, Said
from metering.api.problems import key_refused, overloaded, too_many, unavailable
from metering.api.usage import LAYOUTS, MAX_EVENTS, SCOPE, answer_bytes, parse_all
from metering.api_keys import KeyRefused
from metering.formats import native
from metering.formats.batches import Layout, Placed, UnreadableBatch, take_apart
from metering.group_commit import OverShare
from metering.ingestion import DATABASE_DOWN
from metering.outcomes import Outcome
from metering.small_intake import NOT_TAKEN, SMALL, Sent, remembered

_QUERIES: Final = {"": False, "outcomes=all": True}


class SmallPost(NamedTuple):
    """A post's events with whose key they came, where they stand in the body, and whether every
    outcome is to be told."""

    sent: Sent
    placed: Sequence[Placed]
    every: bool

    def answer(self, outcomes: Sequence[Outcome]) -> Said:
        """What became of them."""
        others = outcomes if self.every else [o for o in outcomes if o.outcome != "accepted"]
        return Said(200, answer_bytes(len(outcomes) - len(others), others, self.placed))

    def refused(self, error: Exception) -> HttpResponse | None:
        """How it is said that nothing was taken in; `None` for what nobody foresaw."""
        if isinstance(error, KeyRefused):
            return key_refused(error)
        if isinstance(error, OverShare):
            return too_many()
        if isinstance(error, NOT_TAKEN):
            return overloaded()
        return unavailable() if isinstance(error, DATABASE_DOWN) else None


def small(posted: Posted) -> SmallPost | None:
    """The events that were posted; `None` unless all is in order."""
    every = _QUERIES.get(posted.query)
    layout = _layout(posted.kind)
    key = remembered(posted.secret, SCOPE)
    if every is None or layout is None or key is None:
        return None
    try:
        placed = take_apart(posted.body, layout=layout[0], limit=MAX_EVENTS)
    except UnreadableBatch:
        return None
    if len(placed) > SMALL:
        return None
    return SmallPost(Sent(key, parse_all(placed, native.parse, key, posted.now)), placed, every)


@lru_cache(maxsize=100)
def _layout(content_type: str) -> tuple[Layout | None] | None:
    """How a body of this type is laid out; `None` for a type that is not known."""
    kind, parameters = parse_header_parameters(content_type)
    if kind not in LAYOUTS or parameters.get("charset", "utf-8").lower() != "utf-8":
        return None
    return (LAYOUTS[kind],)
