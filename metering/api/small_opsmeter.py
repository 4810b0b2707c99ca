"""Opsmeter's endpoint (`opsmeter.py`) for a call that is in order, without Django's request: what
it brings, and the answer once that has been taken in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.http import HttpResponse

from metering.api.dialects import NOT_NOW, SCOPE, not_now
from metering.api.opsmeter import is_json, refused, refused_key, report_of, told
from metering.api.posted import Posted, Said
from metering.api_keys import KeyRefused
from metering.domain.usage import Rejection
from metering.outcomes import Outcome
from metering.small_intake import Sent, remembered


class SmallPost(NamedTuple):
    """A call with whose key it came."""

    sent: Sent

    def answer(self, outcomes: Sequence[Outcome]) -> Said:
        """What is said of it."""
        return Said(*told(self.sent.items[0], outcomes[0]))

    def refused(self, error: Exception) -> HttpResponse | None:
        """How it is said that it was not taken in; `None` for what nobody foresaw."""
        if isinstance(error, KeyRefused):
            return refused_key(error)
        return not_now(error, refused) if isinstance(error, NOT_NOW) else None


def small(posted: Posted) -> SmallPost | None:
    """The call that was posted; `None` unless all is in order."""
    key = remembered(posted.secret, SCOPE)
    if key is None or not is_json(posted.kind):
        return None
    item = report_of(posted.body, key, posted.now)
    return None if isinstance(item, Rejection) else SmallPost(Sent(key, [item]))
