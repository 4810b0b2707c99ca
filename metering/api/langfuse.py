"""Langfuse's ingestion API: `POST /langfuse/api/public/ingestion`, as its SDKs up to version 2 and
many integrations speak it. The secret key of their Basic authentication is an API key of ours.

The answer is 207 as soon as the body is a batch: each event is in `successes` or in `errors`, under
its own id. Clients repeat a whole batch after 429 and 5xx; what was stored counts once.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from django.http import HttpRequest, HttpResponse

from metering.api.authentication import key_of
from metering.api.bodies import read_body
from metering.api.dialects import SCOPE, Refusal, endpoint
from metering.api.reported import MAX_BODY, interpretation, is_refused, take_reports
from metering.api_keys import KeyFacts
from metering.formats.langfuse import Sent, parse_batch
from metering.ingestion import Books
from metering.outcomes import Outcome

_CREATED: Final = 201
_REFUSED: Final = 400
_INVALID: Final = "Invalid request data"
_NAMES: Final = {
    400: "InvalidRequestError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    405: "MethodNotAllowedError",
    413: "PayloadTooLargeError",
    415: "InvalidRequestError",
    429: "RateLimitExceededError",
    503: "ServiceUnavailableError",
}
"""Langfuse's names of errors by status."""
_VERSION: Final = "3.0.0"
"""That of the API which is answered here."""
_encode: Final = msgspec.json.Encoder().encode


def _answered(status: int, body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(_encode(body), status=status, content_type="application/json")


def _say(_: HttpRequest, refusal: Refusal) -> HttpResponse:
    body = {"error": _NAMES.get(refusal.status, "BaseError"), "message": refusal.detail}
    if refusal.status == _REFUSED:
        body = {"message": _INVALID, "errors": [refusal.detail]}  # type: ignore[dict-item]
    return _answered(refusal.status, body)


@endpoint("POST", _say)
def ingestion(request: HttpRequest, key: KeyFacts) -> HttpResponse:
    """One batch of events."""
    kind = (request.content_type or "").lower()
    if kind != "application/json":
        return _say(request, Refusal(400, "content_type", f"{kind!r:.80}: send application/json"))
    how = interpretation(Books.current(), key)
    sent = parse_batch(read_body(request, limit=MAX_BODY), how=how)
    items = [each.item for each in sent if each.item is not None]
    outcomes = iter(take_reports(key, lambda *_: items, size=len(items)).outcomes)
    successes: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for each in sent:
        outcome = None if each.item is None else next(outcomes)
        if outcome is None or not is_refused(outcome):
            successes.append({"id": each.id, "status": _CREATED})
        else:
            errors.append(_error(each, outcome))
    return _answered(207, {"successes": successes, "errors": errors})


def _error(sent: Sent, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": sent.id or "unknown",
        "status": _REFUSED,
        "message": _INVALID,
        "error": f"{outcome.reason}: {outcome.message}",
    }


@endpoint("GET", _say)
def projects(request: HttpRequest, _: KeyFacts) -> HttpResponse:
    """What the key belongs to, which SDKs ask for to check it (`auth_check`)."""
    source = key_of(request, SCOPE).source
    project = {
        "id": source,
        "name": source,
        "metadata": {},
        "organization": {"id": "apportion", "name": "Apportion"},
    }
    return _answered(200, {"data": [project]})


def health(_: HttpRequest) -> HttpResponse:
    """That the API is there; says nothing of whether it can store (`/readyz` does)."""
    return _answered(200, {"status": "OK", "version": _VERSION})
