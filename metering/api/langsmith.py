"""LangSmith's API for runs, under `/langsmith`: what its SDKs call with
`LANGSMITH_ENDPOINT=https://…/langsmith` and an API key of ours.

Answered like the original: 202 where all was taken, with a message that also tells of runs that are
over and name no model, for which there is no other place. Where some of the runs were not, the
others are stored all the same, and 422 names those: clients do not repeat it, but log it. They do
repeat 429 and 5xx; what was stored counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.api.bodies import read_body
from metering.api.dialects import Refusal, endpoint, speakers
from metering.api.reported import MAX_BODY, interpretation, is_refused, take_reports
from metering.api_keys import KeyFacts
from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.langsmith import runs as wire
from metering.formats.langsmith.form import boundary_of
from metering.formats.span_facts import Interpretation
from metering.ingestion import Books
from metering.outcomes import Outcome

NAMED: Final = 100
"""Runs that a refusal spells out."""
_JSON: Final = ("application/json", "text/plain", "application/octet-stream", "")
"""The client posts JSON without saying so where it is given ready bytes."""
_INFO: Final = {
    "version": "0.16.0",
    "license_expiration_time": None,
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20_000_000,
    },
    "instance_flags": {"zstd_compression_enabled": True, "gzip_body_enabled": True},
}
"""What we take, in the words by which the SDKs choose how to send it."""
_IDLE: Final = "waiting_for_model"
_encode: Final = msgspec.json.Encoder().encode

Items = Sequence[CallReport | Rejection]


def _answered(status: int, body: object) -> HttpResponse:
    return HttpResponse(_encode(body), status=status, content_type="application/json")


def _say(_: HttpRequest, refusal: Refusal) -> HttpResponse:
    return _answered(refusal.status, {"detail": refusal.detail, "error": refusal.reason})


def info(request: HttpRequest) -> HttpResponse:
    """What the API takes; SDKs ask it before they send anything, with or without a key."""
    if request.method != "GET":
        return _say(request, Refusal(405, "method_not_allowed", "this endpoint takes GET"))
    return _answered(200, _INFO)


@endpoint("POST", _say)
def runs(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """One run that has begun."""
    return _one(request, key, "post", None, "Run created")


@endpoint("PATCH", _say)
def _patched(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    assert request.resolver_match is not None
    return _one(request, key, "patch", request.resolver_match.kwargs["run_id"], "Run updated")


@csrf_exempt
def run(request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG001 - read where the key is known
    """What there is to add to one run."""
    return _patched(request)


speakers[run] = _say


@endpoint("POST", _say)
def batch(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """Runs as one JSON object of those that are new and those that are updated."""
    refusal = _not_json(request)
    if refusal is not None:
        return refusal
    now, how = _now_and_how(key)
    body = read_body(request, limit=MAX_BODY)
    items = wire.parse_batch(body, received_at=now, how=how)
    return _taken(key, items, "Runs batch ingested")


@endpoint("POST", _say)
def multipart(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """Runs as a form, their large members apart."""
    sent = request.headers.get("Content-Type", "")
    boundary = boundary_of(sent)
    if boundary is None:
        detail = f"{sent!r:.80} is not understood; send multipart/form-data with a boundary"
        return _say(request, Refusal(415, "content_type", detail))
    now, how = _now_and_how(key)
    body = read_body(request, limit=MAX_BODY)
    items = wire.parse_form(body, boundary, received_at=now, how=how)
    return _taken(key, items, "Runs batch ingested")


def _one(
    request: HttpRequest, key: KeyFacts, act: wire.Act, run_id: str | None, said: str
) -> HttpResponse:
    refusal = _not_json(request)
    if refusal is not None:
        return refusal
    now, how = _now_and_how(key)
    body = read_body(request, limit=MAX_BODY)
    item = wire.parse_run(body, act, place="body", received_at=now, how=how, run_id=run_id)
    return _taken(key, [item], said)


def _now_and_how(key: KeyFacts) -> tuple[datetime, Interpretation]:
    return datetime.now(UTC), interpretation(Books.current(), key)


def _not_json(request: HttpRequest) -> HttpResponse | None:
    if (request.content_type or "").lower() in _JSON:
        return None
    sent = request.headers.get("Content-Type", "")
    return _say(request, Refusal(415, "content_type", f"{sent!r:.80} is not understood; send JSON"))


def _taken(key: KeyFacts, items: Items, said: str) -> HttpResponse:
    outcomes = take_reports(key, lambda *_: items, size=len(items)).outcomes
    refused = [outcome for outcome in outcomes if is_refused(outcome)]
    if not refused:
        return _answered(202, {"message": said + _that_waits(items, outcomes)})
    return _answered(422, {"detail": [_detail(outcome) for outcome in refused[:NAMED]]})


def _that_waits(items: Items, outcomes: Sequence[Outcome]) -> str:
    """What to say of runs that are over and whose model nobody has told: they are kept, and count
    nowhere unless a later message names it (`manage.py open_calls` lists them)."""
    idle = [
        outcome
        for item, outcome in zip(items, outcomes, strict=True)
        if isinstance(item, CallReport) and item.ended and outcome.reason == _IDLE
    ]
    if not idle:
        return ""
    others = f" (and {len(idle) - 1} more)" if len(idle) > 1 else ""
    return f"; {idle[0].place}{others}: {idle[0].message}"


def _detail(outcome: Outcome) -> dict[str, Any]:
    """A refused run in the form of a validation error."""
    return {
        "loc": [outcome.place or "body", outcome.key or ""],
        "msg": outcome.message,
        "type": outcome.reason,
    }
