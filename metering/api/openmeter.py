"""`POST /openmeter/api/v1/events`: OpenMeter's ingestion, for its SDKs and any CloudEvents sender.

OpenMeter answers 204 and drops later what it cannot use. A 204 has no room to say so, so here a
batch in which one event cannot be used is refused as a whole, with the place of every such event;
what was sent before is no obstacle. Refusals are OpenMeter's problems (RFC 7807).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from uuid import uuid4

import msgspec
from django.http import HttpRequest, HttpResponse

from metering.api.bodies import read_body
from metering.api.cloud_events import binary_event, is_binary
from metering.api.dialects import Refusal, endpoint
from metering.api.usage import parse_all, source_of
from metering.api_keys import KeyFacts
from metering.attribute_names import parser_for
from metering.formats.batches import BOM, Placed, UnreadableBatch, take_apart
from metering.outcomes import Outcome
from metering.whole_intake import is_kept, take_whole

MAX_EVENTS: Final = 10_000
NAMED: Final = 20
"""Events that a refusal names, at most."""
KINDS: Final = {
    "application/cloudevents+json": b"{",
    "application/cloudevents-batch+json": b"[",
    "application/json": b"{[",
}
"""Content types, and how the bodies of each may begin."""

_encode: Final = msgspec.json.Encoder().encode


def _say(request: HttpRequest, refusal: Refusal, **extensions: object) -> HttpResponse:
    return say_at(request.headers.get("Host", ""), refusal, **extensions)


def say_at(host: str, refusal: Refusal, **extensions: object) -> HttpResponse:
    """The refusal of what was sent to that host."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": f"urn:request:{host}/{uuid4().hex}",
        **({"extensions": extensions} if extensions else {}),
    }
    return HttpResponse(
        _encode(body), status=refusal.status, content_type="application/problem+json"
    )


@endpoint("POST", _say)
def events(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """One event or an array of them, by the content type; or one in binary mode."""
    kind = (request.content_type or "").lower()
    binary = is_binary(request)
    if kind not in KINDS and not binary:
        sent = request.headers.get("Content-Type", "")
        detail = f"invalid content type: {sent!r:.80}; send {', '.join(KINDS)}"
        return _say(request, Refusal(400, "content_type", detail))
    try:
        placed = [binary_event(request)] if binary else events_in(read_body(request), kind)
    except UnreadableBatch as error:
        if error.too_many:
            raise
        return _say(request, Refusal(400, "malformed_json", f"invalid event: {error}"))
    parse = parser_for("openmeter", source_of(key))
    items = parse_all(placed, parse, key, now := datetime.now(UTC))
    whole = take_whole(key, items, refuses=_is_lost, now=now)
    return told(whole.outcomes, placed, request.headers.get("Host", ""))


def events_in(body: bytes, kind: str) -> list[Placed]:
    """The events of a body of one of `KINDS`. Raises `UnreadableBatch`."""
    beginnings = KINDS[kind]
    start = body.removeprefix(BOM).lstrip()[:1]
    if start and start not in (beginnings[:1], beginnings[1:]):
        raise UnreadableBatch(
            "an array is sent as application/cloudevents-batch+json"
            if start == b"["
            else "one event is an object; a batch is an array of them"
        )
    placed = take_apart(body, layout="json", limit=MAX_EVENTS)
    if not placed:
        raise UnreadableBatch("no events found")
    return placed


def _is_lost(outcome: Outcome) -> bool:
    """What OpenMeter would not count and would not tell. A duplicate is what it promises."""
    return outcome.outcome in ("rejected", "conflict") and not is_kept(outcome)


def told(outcomes: Sequence[Outcome], placed: Sequence[Placed], host: str) -> HttpResponse:
    """What is said of events that were all taken in if none of them was lost, else none."""
    lost = [outcome for outcome in outcomes if _is_lost(outcome)]
    if lost:
        return _refused(host, lost, placed)
    response = HttpResponse(status=204)
    del response["Content-Type"]  # there is no content
    return response


def _refused(host: str, lost: Sequence[Outcome], placed: Sequence[Placed]) -> HttpResponse:
    said = [
        {
            "index": outcome.index,
            "id": outcome.key,
            "reason": outcome.reason,
            "message": outcome.message,
        }
        for outcome in lost[:NAMED]
    ]
    first = lost[0]
    others = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    detail = (
        f"invalid event: {placed[first.index].place}: {first.message}{others};"
        " nothing of the batch was stored"
    )
    return say_at(host, Refusal(400, "invalid_event", detail), events=said)
