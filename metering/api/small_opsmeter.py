"""Opsmeter's endpoint (`opsmeter.py`) for a call that is in order, without Django's request: what
it brings, and the answer once that has been taken in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.http import HttpResponse

from metering.api.dialects import NOT_NOW, SCOPE, not_now
from metering.api.opsmeter import is_json, refused, refused_key, report_of, told
from metering.api_keys import KeyRefused
from metering.domain.usage import Rejection
from metering.outcomes import Outcome
from metering.small_intake import Sent, remembered


class SmallPost(NamedTuple):
    """A call with whose key it came."""

    sent: Sent

    def answer(self, outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        return told(self.sent.items[0], outcomes[0])


def read(secret: str, kind: str, query: str, body: bytes, now: datetime) -> SmallPost | None:  # noqa: ARG001 - it has no say, as in the view
    """The call sent with this key; `None` unless all is in order."""
    key = remembered(secret, SCOPE)
    if key is None or not is_json(kind):
        return None
    item = report_of(body, key, now)
    return None if isinstance(item, Rejection) else SmallPost(Sent(key, [item]))


def refusal(error: Exception) -> HttpResponse | None:
    """How it is said that nothing was taken in; `None` for what nobody foresaw."""
    if isinstance(error, KeyRefused):
        return refused_key(error)
    return not_now(error, refused) if isinstance(error, NOT_NOW) else None
