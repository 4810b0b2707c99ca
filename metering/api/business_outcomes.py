"""`POST /api/v1/outcomes`: what calls were made for, once it came about.

One outcome, an array, or one a line; as our own objects or as CloudEvents, in binary mode too. The
answer is that of `POST /api/v1/usage`: 200 with what became of each.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering import business_outcomes
from metering.api.authentication import sender_of
from metering.api.bodies import BodyRefused, read_body
from metering.api.cloud_events import binary_event, is_binary
from metering.api.problems import (
    key_refused,
    method_not_allowed,
    overloaded,
    problem,
    too_many,
    unavailable,
)
from metering.api.usage import MAX_EVENTS, SCOPE, answer_of, layout_of, source_of, unreadable
from metering.api_keys import KeyRefused
from metering.formats import business_outcomes as wire
from metering.formats.batches import Layout, Placed, UnreadableBatch, take_apart
from metering.group_commit import OverShare
from metering.ingestion import DATABASE_DOWN
from metering.small_intake import NOT_TAKEN, admitted

_CLOUD_EVENTS: Final[dict[str, Layout | None]] = {
    "application/cloudevents+json": "json",
    "application/cloudevents-batch+json": "json",
}


def _placed(request: HttpRequest) -> list[Placed]:
    if is_binary(request):
        return [binary_event(request)]
    layout = layout_of(request, _CLOUD_EVENTS)
    return take_apart(read_body(request), layout=layout, limit=MAX_EVENTS)


@csrf_exempt
def receive(request: HttpRequest) -> HttpResponse:
    """Authenticate, take the body apart, store its outcomes, answer."""
    if request.method != "POST":
        return method_not_allowed(request, "POST")
    now = datetime.now(UTC)
    try:
        key = sender_of(request, SCOPE)
        placed = _placed(request)
        source = source_of(key)
        items = [
            wire.parse(bytes(content), place=place, source=source, received_at=now)
            for place, content in placed
        ]
        if key.tenant is not None:
            items = [business_outcomes.within_tenant(item, key.tenant) for item in items]
        with admitted(key, now):
            outcomes = business_outcomes.take(items, now=now)
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
    every = request.GET.get("outcomes") == "all"
    told = outcomes if every else [each for each in outcomes if each.outcome != "accepted"]
    return answer_of(len(outcomes) - len(told), told, placed)
