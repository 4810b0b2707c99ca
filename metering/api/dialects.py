"""Endpoints that stand in for another product's: what goes wrong is said in its words.

`endpoint` authenticates and catches; the dialect is a function that writes a refusal. After a 4xx
nothing of the request was stored; after a 5xx it may have been, and sending it again is harmless.

A refusal is said in the same words where a request does not come as far as its view
(`refused_at`): what speaks a dialect is entered in `speakers`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from http import HTTPStatus
from typing import Final, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt

from metering.api.authentication import sender_of
from metering.api.bodies import BodyRefused
from metering.api.problems import overloaded, too_many
from metering.api_keys import KeyFacts, KeyRefused
from metering.formats.batches import UnreadableBatch
from metering.group_commit import OverShare
from metering.ingestion import DATABASE_DOWN
from metering.small_intake import NOT_TAKEN

SCOPE: Final = "ingest"
RETRY_SECONDS: Final = "1"


class Refusal(NamedTuple):
    """Why a request was not taken: the status, a stable reason, and what to do about it."""

    status: int
    reason: str
    detail: str


Answering = Callable[[HttpRequest, KeyFacts], HttpResponse]
Dialect = Callable[[HttpRequest, Refusal], HttpResponse]

AGAIN: Final = Refusal(
    503,
    "unavailable",
    "it could not be stored now; send it again in a moment: what was stored counts once",
)
LESS: Final = Refusal(
    429,
    "too_many_requests",
    "more that was sent with this key is waiting than its share; nothing of this was stored: send"
    " it again in a moment, in larger batches or over fewer connections",
)
NOT_NOW: Final = (*NOT_TAKEN, *DATABASE_DOWN)
"""Why a request must be sent again."""

speakers: Final[dict[Callable[..., HttpResponse], Dialect]] = {}
"""Views that speak a dialect."""


def not_now(error: Exception, say: Callable[[Refusal], HttpResponse]) -> HttpResponse:
    """The refusal for one of `NOT_NOW`: 429 to whoever sends more than its share, else 503."""
    return _later(LESS if isinstance(error, OverShare) else AGAIN, say)


def not_taken(error: Exception, say: Callable[[Refusal], HttpResponse]) -> HttpResponse | None:
    """The refusal of what a request's key or its being taken in has raised; `None` for what nobody
    foresaw."""
    if isinstance(error, KeyRefused):
        response = say(Refusal(error.status, error.reason, error.detail))
        if error.status == HTTPStatus.UNAUTHORIZED:
            response["WWW-Authenticate"] = 'Bearer realm="apportion"'
        return response
    return not_now(error, say) if isinstance(error, NOT_NOW) else None


def refused_at(request: HttpRequest, *, over_share: bool) -> HttpResponse:
    """What is said to a request that there is no room for, in the words of what it asked for."""
    try:
        say = speakers.get(resolve(request.path_info).func)
    except Http404:
        say = None
    if say is None:
        return too_many() if over_share else overloaded()
    return _later(LESS if over_share else AGAIN, partial(say, request))


def _later(refusal: Refusal, say: Callable[[Refusal], HttpResponse]) -> HttpResponse:
    response = say(refusal)
    response["Retry-After"] = RETRY_SECONDS
    return response


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
            except BodyRefused as refused:
                reason = refused.type.replace("-", "_")
                return say(request, Refusal(refused.status, reason, refused.detail))
            except UnreadableBatch as error:
                status, reason = (413, "too_many") if error.too_many else (400, "malformed_json")
                return say(request, Refusal(status, reason, str(error)))
            except (KeyRefused, *NOT_NOW) as error:
                said = not_taken(error, partial(say, request))
                assert said is not None, "there is an answer to each of these"
                return said

        speakers[view] = say
        return view

    return decorate
