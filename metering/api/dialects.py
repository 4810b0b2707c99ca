"""Endpoints that stand in for another product's: what goes wrong is said in its words.

`endpoint` authenticates and catches; the dialect is a function that writes a refusal. After a 4xx
nothing of the request was stored; after a 5xx it may have been, and sending it again is harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Final, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.api.authentication import sender_of
from metering.api.bodies import BodyRefused
from metering.api_keys import KeyFacts, KeyRefused
from metering.formats.batches import UnreadableBatch
from metering.ingestion import DATABASE_DOWN
from metering.small_intake import NOT_TAKEN

SCOPE: Final = "ingest"
_AGAIN: Final = "it could not be stored now; send it again in a moment: what was stored counts once"


class Refusal(NamedTuple):
    """Why a request was not taken: the status, a stable reason, and what to do about it."""

    status: int
    reason: str
    detail: str


Answering = Callable[[HttpRequest, KeyFacts], HttpResponse]
Dialect = Callable[[HttpRequest, Refusal], HttpResponse]


def endpoint(method: str, say: Dialect) -> Callable[[Answering], Callable[..., HttpResponse]]:
    """A view for one method and a key that ingests; refusals are said by `say`."""

    def decorate(answer: Answering) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @wraps(answer)
        def view(request: HttpRequest) -> HttpResponse:
            if request.method != method:
                refusal = Refusal(405, "method_not_allowed", f"this endpoint takes {method}")
                response = say(request, refusal)
                response["Allow"] = method
                return response
            try:
                return answer(request, sender_of(request, SCOPE))
            except KeyRefused as refused:
                response = say(request, Refusal(refused.status, refused.reason, refused.detail))
                if refused.status == HTTPStatus.UNAUTHORIZED:
                    response["WWW-Authenticate"] = 'Bearer realm="apportion"'
                return response
            except BodyRefused as refused:
                reason = refused.type.replace("-", "_")
                return say(request, Refusal(refused.status, reason, refused.detail))
            except UnreadableBatch as error:
                status, reason = (413, "too_many") if error.too_many else (400, "malformed_json")
                return say(request, Refusal(status, reason, str(error)))
            except (*NOT_TAKEN, *DATABASE_DOWN):
                response = say(request, Refusal(503, "unavailable", _AGAIN))
                response["Retry-After"] = "1"
                return response

        return view

    return decorate
