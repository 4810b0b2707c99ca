"""`POST /lago/api/v1/events` and `…/events/batch`: Lago's ingestion, with its own errors.

A batch holds at most 100 events and is stored as a whole or not at all; each error stands under the
event's index. A `transaction_id` that was taken before is refused as `value_already_exist`, as Lago
does: to a sender that lost the first answer, it says that the event is there. What Lago would
accept and count nowhere is refused with a code of ours and a `message`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.api.bodies import BodyRefused, read_body
from metering.api.dialects import Refusal, endpoint
from metering.api.usage import parse_all, source_of
from metering.api_keys import KeyFacts
from metering.attribute_names import parser_for
from metering.domain.keys import event_key
from metering.domain.usage import Rejection, UsageEvent
from metering.files.call_parsers import Parse
from metering.formats import lago
from metering.formats.batches import BOM, Placed
from metering.formats.malformed import UNDECODABLE
from metering.outcomes import Outcome
from metering.whole_intake import is_kept, take_whole

MAX_EVENTS: Final = 100
MAX_BODY: Final = 1_000_000
EXISTS: Final = "value_already_exist"
_MISSING: Final = "param is missing or the value is empty: {}"
_THEIRS: Final = frozenset({EXISTS, lago.MANDATORY, lago.INVALID})
_MEMBERS: Final = {"foreign_tenant": "external_subscription_id"}
"""Reasons that are found after the event was read → the member at fault."""

Details = dict[str, Any]


class _Single(msgspec.Struct):
    event: msgspec.Raw = msgspec.Raw()


class _Batch(msgspec.Struct):
    events: list[msgspec.Raw] = []


_single: Final = msgspec.json.Decoder(_Single).decode
_batch: Final = msgspec.json.Decoder(_Batch).decode
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def _said(answered: int, **members: object) -> HttpResponse:
    return HttpResponse(_encode(members), status=answered, content_type="application/json")


def say(refusal: Refusal) -> HttpResponse:
    """The refusal in Lago's words."""
    status = refusal.status
    if status == HTTPStatus.UNAUTHORIZED:
        return _said(status, status=status, error="Unauthorized")
    if status == HTTPStatus.FORBIDDEN:
        code = "write_action_not_allowed_for_event"
        return _said(status, status=status, error="Forbidden", code=code)
    if status == HTTPStatus.BAD_REQUEST:
        return _said(status, status=status, error=f"BadRequest: {refusal.detail}")
    error = HTTPStatus(status).phrase
    return _said(status, status=status, error=error, code=refusal.reason, message=refusal.detail)


def _say(_: HttpRequest, refusal: Refusal) -> HttpResponse:
    return say(refusal)


@endpoint("POST", _say)
def event(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """One event, answered with what Lago answers."""
    try:
        sent = event_in(_body(request, "event"))
    except UNDECODABLE as error:
        return say(_unreadable(error))
    if sent is None:
        return say(Refusal(400, "missing", _MISSING.format("event")))
    (item,) = items = read(
        [sent], parser_for("lago", source_of(key)), key, now := datetime.now(UTC)
    )
    whole = take_whole(key, items, refuses=_is_refused, now=now)
    return told(item, sent, whole.outcomes[0], now)


@endpoint("POST", _say)
def batch(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """Up to a hundred events, all of them or none."""
    try:
        sent = _batch(_body(request, "events")).events
    except UNDECODABLE as error:
        return say(_unreadable(error))
    if not sent:
        return _invalid({"events": ["no_events"]}, None)
    if len(sent) > MAX_EVENTS:
        return _invalid({"events": ["too_many_events"]}, None)
    items = read(sent, parser_for("lago", source_of(key)), key, now := datetime.now(UTC))
    whole = take_whole(key, items, refuses=_is_refused, now=now)
    if not whole.stored:
        return _invalid(*_errors([o for o in whole.outcomes if _is_refused(o)], items))
    return _said(200, events=[_echo(*each, now) for each in zip(items, sent, strict=True)])


def event_in(body: bytes) -> msgspec.Raw | None:
    """The event of a body; `None` where there is nothing in it. Raises one of `UNDECODABLE`."""
    sent = _single(body).event
    return None if bytes(sent) in (b"", b"null", b"{}") else sent


def read(
    sent: Sequence[msgspec.Raw], parse: Parse, key: KeyFacts, now: datetime
) -> list[UsageEvent | Rejection]:
    """The events as sent with this key."""
    placed = [Placed(f"index {index}", raw) for index, raw in enumerate(sent)]
    return parse_all(placed, parse, key, now)


def told(
    item: UsageEvent | Rejection, sent: msgspec.Raw, outcome: Outcome, now: datetime
) -> HttpResponse:
    """What is said of an event that came by itself."""
    if _is_refused(outcome):
        details, message = _errors([outcome], [item])
        return _invalid(details[str(outcome.index)], message)
    return _said(200, event=_echo(item, sent, now))


@csrf_exempt
def elsewhere(_: HttpRequest, rest: str) -> HttpResponse:
    """What else Lago's clients ask for. Of an event neither its code nor its properties are kept,
    and its id alone determines no key, so none is read back; that it is not there is not said."""
    if not (rest == "events" or rest.startswith("events/")):
        detail = "only events are spoken here: POST events, POST events/batch"
        return say(Refusal(404, "not_found", detail))
    detail = (
        "events are sent here and not read back; sent again, one that was taken is refused as"
        f" {EXISTS}, and counts once"
    )
    response = say(Refusal(405, "method_not_allowed", detail))
    response["Allow"] = "POST"
    return response


def _body(request: HttpRequest, member: str) -> bytes:
    """The body, if it says that it is JSON: Lago reads no other, and then finds nothing in it."""
    if not is_json(request.content_type or ""):
        raise BodyRefused(400, "missing", _MISSING.format(member))
    body = read_body(request, limit=MAX_BODY).removeprefix(BOM)
    if not body.strip():
        raise BodyRefused(400, "missing", _MISSING.format(member))
    return body


def is_json(kind: str) -> bool:
    """Whether a body of this media type is read."""
    return kind.lower() in ("application/json", "")


def _unreadable(error: Exception) -> Refusal:
    if isinstance(error, RecursionError):
        return Refusal(400, "malformed_json", "the JSON is nested too deeply; send flat values")
    return Refusal(400, "malformed_json", f"the body is not what is expected: {error!s:.200}")


def _invalid(details: Details, message: str | None) -> HttpResponse:
    more = {} if message is None else {"message": message}
    return _said(
        422,
        status=422,
        error="Unprocessable Entity",
        code="validation_errors",
        error_details=details,
        **more,
    )


def _is_refused(outcome: Outcome) -> bool:
    return outcome.outcome in ("rejected", "conflict", "duplicate") and not is_kept(outcome)


def _errors(
    refused: Sequence[Outcome], items: Sequence[UsageEvent | Rejection]
) -> tuple[Details, str | None]:
    """Why events were not taken: errors by index and member, and in words where the codes are
    ours."""
    details: Details = {}
    words = []
    for outcome in refused:
        item = items[outcome.index]
        if outcome.outcome in ("duplicate", "conflict"):
            member, code = "transaction_id", EXISTS
        elif isinstance(item, Rejection):
            code = item.reason
            member = _MEMBERS.get(code) or lago.member_of(item)
        else:
            code = outcome.reason or "rejected"
            member = _MEMBERS.get(code, "properties")
        details.setdefault(str(outcome.index), {}).setdefault(member, []).append(code)
        if code not in _THEIRS:
            words.append(f"index {outcome.index}: {outcome.message}")
    return details, "; ".join(words[:MAX_EVENTS]) or None


def _echo(event: UsageEvent | Rejection, raw: msgspec.Raw, now: datetime) -> Details:
    """What Lago answers of an event: as it was sent, with its id here. The customer and the
    subscription are null, as in Lago, which resolves them later."""
    assert isinstance(event, UsageEvent), "what could not be read is refused"
    sent: Mapping[str, Any] = _decode(raw)
    if isinstance(sent.get("event"), Mapping):  # wrapped once more, which is read as well
        sent = sent["event"]
    cents = sent.get("precise_total_amount_cents")
    return {
        "lago_id": event_key(event),
        "transaction_id": str(sent["transaction_id"]),
        "lago_customer_id": None,
        "code": str(sent["code"]),
        "timestamp": event.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "precise_total_amount_cents": None if cents is None else str(cents),
        "properties": sent.get("properties") or {},
        "lago_subscription_id": None,
        "external_subscription_id": str(sent["external_subscription_id"]),
        "created_at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
