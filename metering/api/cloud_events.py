"""CloudEvents in HTTP's binary mode: the context in headers, the data as the body."""

from __future__ import annotations

from django.http import HttpRequest

from metering.api.bodies import BodyRefused, read_body
from metering.formats.batches import BOM, Placed
from metering.formats.cloudevents import structured
from metering.formats.spelt_out import Unreadable

_HEADER = "HTTP_CE_"


def is_binary(request: HttpRequest) -> bool:
    """Whether the request is an event in binary mode: it has an event's headers, and its content
    type is the data's and not that of an event."""
    kind = (request.content_type or "").lower()
    return f"{_HEADER}SPECVERSION" in request.META and not kind.startswith(
        "application/cloudevents"
    )


def binary_event(request: HttpRequest) -> Placed:
    """The event that the request is, as it is written in structured mode. Raises `BodyRefused`."""
    context = {
        name.removeprefix(_HEADER).lower(): value
        for name, value in request.META.items()
        if name.startswith(_HEADER)
    }
    kind = request.headers.get("Content-Type", "")
    try:
        content = structured(context, kind, read_body(request).removeprefix(BOM))
    except Unreadable as error:
        raise BodyRefused(400, error.reason.replace("_", "-"), error.message) from error
    return Placed("the event", content)
