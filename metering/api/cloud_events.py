"""CloudEvents in HTTP's binary mode: the context in headers, the data as the body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.http import HttpRequest

from metering.api.bodies import BodyRefused, read_body
from metering.formats.batches import BOM, Placed
from metering.formats.cloudevents import structured
from metering.formats.spelt_out import Unreadable

_HEADER = "HTTP_CE_"
_SENT_AS = "ce-"
VERSION = "ce-specversion"


def is_binary(request: HttpRequest) -> bool:
    """Whether the request is an event in binary mode: it has an event's headers, and its content
    type is the data's and not that of an event."""
    has_version = f"{_HEADER}SPECVERSION" in request.META
    return has_version and is_of_data((request.content_type or "").lower())


def is_of_data(kind: str) -> bool:
    """Whether a body of this media type is an event's data and not an event."""
    return not kind.startswith("application/cloudevents")


def binary_event(request: HttpRequest) -> Placed:
    """The event that the request is, as it is written in structured mode. Raises `BodyRefused`."""
    context = {
        name.removeprefix(_HEADER).lower(): value
        for name, value in request.META.items()
        if name.startswith(_HEADER)
    }
    return _event(context, request.headers.get("Content-Type", ""), read_body(request))


def event_of(headers: Iterable[tuple[str, str]], kind: str, body: bytes) -> Placed:
    """As `binary_event`, of headers as they were sent, names in small letters."""
    context = {
        name.removeprefix(_SENT_AS).replace("-", "_"): value
        for name, value in headers
        if name.startswith(_SENT_AS) and "_" not in name
    }
    return _event(context, kind, body)


def _event(context: Mapping[str, str], kind: str, body: bytes) -> Placed:
    try:
        content = structured(context, kind, body.removeprefix(BOM))
    except Unreadable as error:
        raise BodyRefused(400, error.reason.replace("_", "-"), error.message) from error
    return Placed("the event", content)
