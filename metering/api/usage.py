"""`POST /api/v1/usage`: native events in; what became of each of them out. Formats without a
dialect of answers are received here as well (`receiving`).

The answer is 200 whenever the body could be taken apart, even if every event in it was rejected:
the counts and outcomes say what became of each. A status of 4xx or 5xx means that nothing of the
body was stored, and that it may be sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Final

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.api.authentication import sender_of
from metering.api.bodies import BodyRefused, read_body
from metering.api.problems import (
    key_refused,
    method_not_allowed,
    overloaded,
    problem,
    too_many,
    unavailable,
)
from metering.api_keys import KeyFacts, KeyRefused
from metering.batch_intake import Batch, take_batch
from metering.domain.tenancy import within_tenant
from metering.domain.usage import Rejection, UsageEvent
from metering.formats import native
from metering.formats.batches import Layout, Placed, UnreadableBatch, take_apart
from metering.group_commit import OverShare
from metering.ingestion import DATABASE_DOWN
from metering.outcomes import IngestResult, Outcome
from metering.small_intake import NOT_TAKEN, SMALL, Sent, take

MAX_EVENTS: Final = 10_000
SCOPE: Final = "ingest"

LAYOUTS: Final[dict[str, Layout | None]] = {
    "": None,
    "application/octet-stream": None,
    "text/plain": None,
    "application/json": None,
    "application/x-ndjson": "lines",
    "application/ndjson": "lines",
    "application/jsonl": "lines",
    "application/x-jsonlines": "lines",
}


class AnsweredOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event's outcome on the wire; `index` counts from 0 in the order of sending."""

    index: int
    key: str | None
    outcome: str
    reason: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET
    place: str | msgspec.UnsetType = msgspec.UNSET


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    accepted: int
    duplicates: int
    conflicts: int
    amended: int
    rejected: int
    outcomes: list[AnsweredOutcome]


_encode: Final = msgspec.json.Encoder().encode
Parser = Callable[..., UsageEvent | Rejection]


def receiving(parser_for: Callable[[str], Parser]) -> Callable[[HttpRequest], HttpResponse]:
    """The view for events in one format: authenticate, take the body apart, take its events in,
    answer. `parser_for` says how the key's source is read."""

    @csrf_exempt
    def receive(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return method_not_allowed(request, "POST")
        try:
            key = sender_of(request, SCOPE)
            layout = layout_of(request)
            placed = take_apart(read_body(request), layout=layout, limit=MAX_EVENTS)
            parse = parser_for(source_of(key))
            read = partial(parse_all, placed, parse, key)
            every = request.GET.get("outcomes") == "all"
            accepted, outcomes = _take(Batch(key, read, len(placed), every))
            return answer_of(accepted, outcomes, placed)
        except OverShare:
            return too_many()
        except NOT_TAKEN:
            return overloaded()
        except KeyRefused as refused:
            return key_refused(refused)
        except BodyRefused as refused:
            return problem(refused.status, refused.type, "The body was refused", refused.detail)
        except UnreadableBatch as error:
            return unreadable(error)
        except DATABASE_DOWN:
            return unavailable()

    return receive


receive: Final = receiving(lambda _: native.parse)


def source_of(key: KeyFacts) -> str:
    """What the key's events are booked under."""
    assert key.source is not None, "a key that sends has a source"
    return key.source


def _take(batch: Batch) -> tuple[int, Sequence[Outcome]]:
    """Take the events in: how many were accepted without further mention, and the outcomes to
    mention."""
    if batch.size > SMALL:
        return take_batch(batch)
    outcomes = take(Sent(batch.key, batch.read(datetime.now(UTC))))
    others = outcomes if batch.every else [o for o in outcomes if o.outcome != "accepted"]
    return len(outcomes) - len(others), others


def layout_of(
    request: HttpRequest, more: Mapping[str, Layout | None] = MappingProxyType({})
) -> Layout | None:
    """How the content type says that the body is laid out, by the types known here and `more`.
    Raises `BodyRefused`."""
    layouts = {**LAYOUTS, **more}
    kind = (request.content_type or "").lower()
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if kind not in layouts or charset not in ("utf-8", "utf8", "us-ascii"):
        raise BodyRefused(
            415,
            "unsupported-media-type",
            f"{request.headers.get('Content-Type', '')!r:.80} is not understood; send"
            " application/json, or application/x-ndjson for one event a line, in UTF-8",
        )
    return layouts[kind]


def parse_all(
    placed: Sequence[Placed], parse: Parser, key: KeyFacts, now: datetime
) -> list[UsageEvent | Rejection]:
    """Each event as sent with this key: of its source, and of its tenant if it has one."""
    source, tenant = source_of(key), key.tenant
    items = [
        parse(bytes(content), place=place, source=source, received_at=now)
        for place, content in placed
    ]
    return items if tenant is None else [within_tenant(item, tenant) for item in items]


def answer_of(accepted: int, outcomes: Sequence[Outcome], placed: Sequence[Placed]) -> HttpResponse:
    """The counts of all outcomes, and those given; `accepted` more are not mentioned."""
    body = answer_bytes(accepted, outcomes, placed)
    return HttpResponse(body, content_type="application/json")


def answer_bytes(accepted: int, outcomes: Sequence[Outcome], placed: Sequence[Placed]) -> bytes:
    """The body of `answer_of`."""
    counts = IngestResult(accepted=accepted)
    for outcome in outcomes:
        counts.count(outcome)
    answer = Answer(
        accepted=counts.accepted,
        duplicates=counts.duplicates,
        conflicts=counts.conflicts,
        amended=counts.amended,
        rejected=counts.rejected,
        outcomes=[answered(outcome, placed[outcome.index].place) for outcome in outcomes],
    )
    return _encode(answer)


def answered(outcome: Outcome, place: str) -> AnsweredOutcome:
    """The outcome as the wire says it; what is not simply there says where it stands."""
    if outcome.reason is None:
        return AnsweredOutcome(index=outcome.index, key=outcome.key, outcome=outcome.outcome)
    return AnsweredOutcome(
        index=outcome.index,
        key=outcome.key,
        outcome=outcome.outcome,
        reason=outcome.reason,
        message=outcome.message or msgspec.UNSET,
        place=place,
    )


def unreadable(error: UnreadableBatch) -> HttpResponse:
    """400, or 413 for too many events, with the place where reading ended."""
    if error.too_many:
        return problem(413, "too-many-events", "Too many events", str(error), limit=MAX_EVENTS)
    place = {
        name: value
        for name, value in (("line", error.line), ("byte", error.byte))
        if value is not None
    }
    return problem(400, "malformed-json", "The body cannot be read", str(error), **place)
