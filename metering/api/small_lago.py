"""Lago's endpoint for one event (`lago.py`), for a post that is in order, without Django's
request: what it brings, and the answer once that has been taken in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from django.http import HttpResponse

from metering.api.dialects import SCOPE, not_taken
from metering.api.lago import event_in, is_json, read, say, told
from metering.api.posted import Posted, Said, media_type
from metering.api.usage import source_of
from metering.attribute_names import remembered_reading
from metering.domain.usage import Rejection
from metering.formats.batches import BOM
from metering.formats.malformed import UNDECODABLE
from metering.outcomes import Outcome
from metering.small_intake import Sent, remembered


class SmallPost(NamedTuple):
    """An event as it was written, with whose key it came and when."""

    sent: Sent
    raw: msgspec.Raw
    now: datetime

    def answer(self, outcomes: Sequence[Outcome]) -> Said:
        """What is said of it."""
        return Said.by(told(self.sent.items[0], self.raw, outcomes[0], self.now))

    def refused(self, error: Exception) -> HttpResponse | None:
        """How it is said that it was not taken in; `None` for what nobody foresaw."""
        return not_taken(error, say)


def small(posted: Posted) -> SmallPost | None:
    """The event that was posted; `None` unless all is in order."""
    key = remembered(posted.secret, SCOPE)
    if key is None or not is_json(media_type(posted.kind)):
        return None
    reading = remembered_reading("lago", source_of(key))
    if reading is None:
        return None
    try:
        raw = event_in(posted.body.removeprefix(BOM))
    except UNDECODABLE:
        return None
    if raw is None:
        return None
    items = read([raw], reading.parse, key, posted.now)
    if isinstance(items[0], Rejection):
        return None
    return SmallPost(Sent(key, items, reading.version), raw, posted.now)
