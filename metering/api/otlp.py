"""OpenTelemetry's protocol over HTTP: `POST /v1/traces` (also at Langfuse's address) and
`POST /v1/metrics`.

The answer is in the request's encoding. It is 200 as soon as the export could be taken apart; spans
that could not be taken are told as a partial success, which senders do not repeat. 4xx and 5xx mean
that nothing was stored; senders repeat on 429 and 503 only, after `Retry-After`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial, wraps
from http import HTTPStatus
from itertools import islice
from typing import Final, Protocol

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from metering.api.authentication import sender_of
from metering.api.bodies import BodyRefused, read_body
from metering.api.dialects import NOT_NOW, Refusal, not_now, speakers
from metering.api.reported import MAX_BODY, is_refused, take_reports
from metering.api_keys import KeyFacts, KeyRefused
from metering.attribute_names import attributes_for
from metering.calls.call_reports import Item
from metering.domain.call_reports import CallReport
from metering.domain.traces import USAGE_FIELDS
from metering.domain.usage import MAX_TOKENS, Rejection
from metering.formats.otlp import metrics as metrics_wire
from metering.formats.otlp import traces as traces_wire
from metering.formats.otlp.answers import CONTENT_TYPE, MEDIA_TYPES, status, success
from metering.formats.otlp.spans import UndecodableExport
from metering.formats.otlp.traces import Encoding
from metering.ingestion import Books, known_providers
from metering.metric_readings import store
from metering.outcomes import Outcome
from metering.small_intake import admitted

SCOPE: Final = "ingest"
MAX_SPANS: Final = 10_000
SHOWN: Final = 3
"""Reasons that a partial success spells out."""

_NO_COUNT: Final = "unreadable_usage"
_ALONE: Final = ("waiting_for_model", _NO_COUNT)
"""What a report waits for that a span, which is told once, will never get; and usage of which
nothing could be read, though the call is kept."""


class Refused(Exception):
    """Nothing of the request was taken: an HTTP status, and why."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status


class Dialect(Protocol):
    """How an endpoint says what became of a request."""

    def encoding(self, request: HttpRequest) -> Encoding:
        """The request's encoding. Raises `Refused`."""
        ...

    def taken(self, encoding: Encoding, outcomes: Sequence[Outcome]) -> HttpResponse: ...

    def refused(self, encoding: Encoding, http_status: int, message: str) -> HttpResponse: ...


class OpenTelemetry:
    """The answers of the protocol's own specification."""

    def encoding(self, request: HttpRequest) -> Encoding:
        found = MEDIA_TYPES.get((request.content_type or "").lower())
        if found is None:
            raise Refused(
                415,
                f"{request.headers.get('Content-Type', '')!r:.80} is not understood; send"
                f" {' or '.join(MEDIA_TYPES)}",
            )
        return found

    def taken(self, encoding: Encoding, outcomes: Sequence[Outcome]) -> HttpResponse:
        rejected, message = summary(outcomes)
        return HttpResponse(
            success(encoding, "spans", rejected, message), content_type=CONTENT_TYPE[encoding]
        )

    def refused(self, encoding: Encoding, http_status: int, message: str) -> HttpResponse:
        return HttpResponse(
            status(encoding, http_status, message),
            status=http_status,
            content_type=CONTENT_TYPE[encoding],
        )


class Langfuse:
    """Langfuse's answers: JSON where all is well, text where it is not. A span without an id fails
    the whole export, and so does a content type that is not known, with 400."""

    def encoding(self, request: HttpRequest) -> Encoding:
        found = MEDIA_TYPES.get((request.content_type or "").lower())
        if found is None:
            raise Refused(400, f"Invalid content type; send {' or '.join(MEDIA_TYPES)}")
        return found

    def taken(self, encoding: Encoding, outcomes: Sequence[Outcome]) -> HttpResponse:  # noqa: ARG002 - answers in JSON, whatever was sent
        rejected, message = summary(outcomes)
        body = success("json", "spans", rejected, message)
        return HttpResponse(body, content_type="application/json")

    def refused(self, encoding: Encoding, http_status: int, message: str) -> HttpResponse:  # noqa: ARG002 - text, whatever was sent
        return HttpResponse(message, status=http_status, content_type="text/plain; charset=utf-8")


def _say(dialect: Dialect, request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """The refusal in the request's encoding, as far as that is known."""
    try:
        encoding = dialect.encoding(request)
    except Refused:
        encoding = "json"
    return dialect.refused(encoding, refusal.status, refusal.detail)


Taking = Callable[[HttpRequest, Encoding, KeyFacts], HttpResponse]


def endpoint(dialect: Dialect) -> Callable[[Taking], Callable[[HttpRequest], HttpResponse]]:
    """A view for exports that come with a key that ingests; what goes wrong is said in the
    dialect."""

    say = partial(_say, dialect)

    def decorate(answer: Taking) -> Callable[[HttpRequest], HttpResponse]:
        @csrf_exempt
        @wraps(answer)
        def view(request: HttpRequest) -> HttpResponse:
            encoding: Encoding = "json"
            if request.method != "POST":
                response = dialect.refused(encoding, 405, "this endpoint takes POST")
                response["Allow"] = "POST"
                return response
            try:
                encoding = dialect.encoding(request)
                return answer(request, encoding, sender_of(request, SCOPE))
            except Refused as refused:
                return dialect.refused(encoding, refused.http_status, str(refused))
            except KeyRefused as refused:
                response = dialect.refused(encoding, refused.status, refused.detail)
                if refused.status == HTTPStatus.UNAUTHORIZED:
                    response["WWW-Authenticate"] = 'Bearer realm="apportion"'
                return response
            except BodyRefused as refused:
                return dialect.refused(encoding, refused.status, refused.detail)
            except UndecodableExport as error:
                return dialect.refused(encoding, 400, str(error))
            except NOT_NOW as error:
                return not_now(error, partial(say, request))

        speakers[view] = say
        return view

    return decorate


def _take(
    request: HttpRequest, encoding: Encoding, key: KeyFacts, *, strict_ids: bool
) -> list[Outcome]:
    assert key.source is not None, "a key that sends has a source"
    attributes = attributes_for(key.source)
    export = traces_wire.decode(read_body(request, limit=MAX_BODY), encoding, attributes=attributes)
    if export.size > MAX_SPANS:
        raise Refused(413, f"the export has more than {MAX_SPANS} spans; send several")

    def read(books: Books, now: datetime) -> list[CallReport | Rejection]:
        items = list(
            traces_wire.interpret(
                export,
                received_at=now,
                attributes=attributes,
                providers=known_providers(books),
            )
        )
        if strict_ids:
            _refuse_ids(items)
        return items

    taken = take_reports(key, read, size=export.size)
    return [_with_doubt(*each) for each in zip(taken.items, taken.outcomes, strict=True)]


def _with_doubt(item: Item, outcome: Outcome) -> Outcome:
    """The outcome, which says so where the call was taken and none of its counts could be read."""
    if (
        not isinstance(item, CallReport)
        or item.fields.get("usage_quality") != "inconsistent"
        or outcome.reason is not None
        or not item.fields.keys().isdisjoint(USAGE_FIELDS)
    ):
        return outcome
    return msgspec.structs.replace(
        outcome,
        reason=_NO_COUNT,
        message=f"kept without usage: a count is a whole number from 0 to {MAX_TOKENS}",
        place=f"trace {item.trace_id}, span {item.span_id}",
    )


def _refuse_ids(items: Sequence[CallReport | Rejection]) -> None:
    for item in items:
        if isinstance(item, Rejection) and item.reason == "invalid_id":
            raise Refused(400, f"{item.place}: {item.message}")


_OPEN_TELEMETRY: Final = OpenTelemetry()
_LANGFUSE: Final = Langfuse()


@endpoint(_OPEN_TELEMETRY)
def traces(request: HttpRequest, encoding: Encoding, key: KeyFacts) -> HttpResponse:
    """An export of spans."""
    return _OPEN_TELEMETRY.taken(encoding, _take(request, encoding, key, strict_ids=False))


@endpoint(_LANGFUSE)
def langfuse_traces(request: HttpRequest, encoding: Encoding, key: KeyFacts) -> HttpResponse:
    """An export of spans by Langfuse's clients, whose secret key is an API key of ours."""
    return _LANGFUSE.taken(encoding, _take(request, encoding, key, strict_ids=True))


@endpoint(_OPEN_TELEMETRY)
def metrics(request: HttpRequest, encoding: Encoding, key: KeyFacts) -> HttpResponse:
    """An export of metrics: those of tokens and cost are kept for comparison, none is counted."""
    assert key.source is not None, "a key that sends has a source"
    now = datetime.now(UTC)
    body = read_body(request, limit=MAX_BODY)
    attributes = attributes_for(key.source)
    found = metrics_wire.read(body, encoding, received_at=now, attributes=attributes)
    items = list(islice(found, MAX_SPANS + 1))
    if len(items) > MAX_SPANS:
        raise Refused(413, f"the export has more than {MAX_SPANS} data points; send several")
    readings = [
        item._replace(tenant=key.tenant or item.tenant)
        for item in items
        if isinstance(item, metrics_wire.Reading)
    ]
    with admitted(key, now):
        store(readings, source=key.source, now=now)
    lost = [item for item in items if isinstance(item, Rejection)]
    message = "; ".join(f"{item.place}: {item.message}" for item in lost[:SHOWN])
    return HttpResponse(
        success(encoding, "data points", len(lost), message), content_type=CONTENT_TYPE[encoding]
    )


def summary(outcomes: Sequence[Outcome]) -> tuple[int, str]:
    """How many spans were not taken, and a message on the first of them; without any, a warning of
    calls that were kept and will never count."""
    lost = [outcome for outcome in outcomes if is_refused(outcome)]
    idle = [outcome for outcome in outcomes if outcome.reason in _ALONE]
    named = lost or idle
    said = [f"{each.place}: {each.reason}: {each.message}" for each in named[:SHOWN]]
    if len(named) > SHOWN:
        said.append(f"and {len(named) - SHOWN} more")
    return len(lost), "; ".join(said)
