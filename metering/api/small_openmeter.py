"""OpenMeter's endpoint (`openmeter.py`) for one event that is in order, without Django's request:
what it brings, and the answer once that has been taken in.

Only one event: several are all or nothing, so they are a transaction of their own, and share no
commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from django.http import HttpResponse

from metering.api.bodies import BodyRefused
from metering.api.cloud_events import VERSION, event_of, is_of_data
from metering.api.dialects import SCOPE, not_taken
from metering.api.openmeter import KINDS, events_in, say_at, told
from metering.api.posted import Posted, Said, media_type
from metering.api.usage import parse_all, source_of
from metering.attribute_names import remembered_reading
from metering.domain.usage import Rejection
from metering.formats.batches import Placed, UnreadableBatch
from metering.outcomes import Outcome
from metering.small_intake import Sent, remembered


class SmallPost(NamedTuple):
    """An event with whose key it came, where it stands in the body, and to which host it came."""

    sent: Sent
    placed: Sequence[Placed]
    host: str

    def answer(self, outcomes: Sequence[Outcome]) -> Said:
        """What is said of it."""
        return Said.by(told(outcomes, self.placed, self.host))

    def refused(self, error: Exception) -> HttpResponse | None:
        """How it is said that it was not taken in; `None` for what nobody foresaw."""
        return not_taken(error, partial(say_at, self.host))


def small(posted: Posted) -> SmallPost | None:
    """The event that was posted; `None` unless all is in order and it is one."""
    key = remembered(posted.secret, SCOPE)
    reading = None if key is None else remembered_reading("openmeter", source_of(key))
    if key is None or reading is None:
        return None
    try:
        placed = _events(posted)
    except (UnreadableBatch, BodyRefused):
        return None
    if len(placed) != 1:
        return None
    items = parse_all(placed, reading.parse, key, posted.now)
    if isinstance(items[0], Rejection):
        return None
    sent = Sent(key, items, reading.version)
    return SmallPost(sent, placed, posted.headers.get("host", ""))


def _events(posted: Posted) -> Sequence[Placed]:
    """The body's events; none for a content type that is not known."""
    kind = media_type(posted.kind)
    if VERSION in posted.headers and is_of_data(kind):
        return [event_of(posted.headers.items(), posted.kind, posted.body)]
    return events_in(posted.body, kind) if kind in KINDS else []
