"""By what a call is known to whoever reports it: the provider's request id, its trace, and, of
what one program may tell twice, when it began: LangSmith's runs at one instant, a provider's client
within the time of a library around it.

One row for each such identity names the events that carry it. An event adds itself to the row in
the transaction that stores it, so of two routes that report one call at the same moment the second
waits for the first and then sees it: the row is what they meet at. (Advisory locks would do for
one call, but a batch has thousands, and the table of locks does not; looking the event up by an
index, neither would see the other before both have counted.) A batch without identities touches
no row.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from metering import bulk
from metering.domain.usage import UsageEvent
from metering.event_rows import instant_text
from metering.formats.otlp.call_fields import OWN_CLIENT, RUN_AS_SPAN

MOST_MEMBERS: Final = 500
"""An identity with so many events is no identity of a call; a trace of so many calls is paired as
far as this goes."""

Kind = Literal["request", "trace", "start", "within"]
KINDS: Final[tuple[Kind, ...]] = ("request", "trace", "start", "within")
"""What tells most of a call, first."""
_UUID_LENGTH: Final = 36
_MINUTE: Final = 16
"""Characters of an instant's text as far as it tells the minute."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
ROUNDING: Final = 5
"""Microseconds that two ways to write one instant may lie apart."""
_TELLS_ITSELF: Final = "anthropic"
"""The provider whose client makes spans by itself."""
SPAN_EVENT: Final = "span:"
"""How the ids of events begin that were made of spans."""


class Member(NamedTuple):
    """An event that carries an identity, and by which route it came."""

    key: str
    occurred_at: datetime
    route: str

    @property
    def text(self) -> str:
        return "\t".join((self.key, instant_text(self.occurred_at), self.route))

    @classmethod
    def of(cls, text: str) -> Member:
        key, at, route = text.split("\t")
        return cls(key, datetime.fromisoformat(at), route)


class Shared(NamedTuple):
    """An identity that more than one event carries."""

    kind: Kind
    members: tuple[Member, ...]


def route_of(event: UsageEvent) -> str:
    """By which route an event came: its source; spans and events of one source apart, and of its
    spans those of OpenTelemetry from LangSmith's own runs, and those of a provider's own client
    from those of what instruments it."""
    if event.event_id is None or not event.event_id.startswith(SPAN_EVENT):
        return event.source
    if event.external_request_id.startswith(OWN_CLIENT):
        return f"{event.source}#client"
    return f"{event.source}#{'runs' if _is_run(event) else 'spans'}"


def _is_run(event: UsageEvent) -> bool:
    """Whether a span's event is a run as LangSmith's SDK posts it."""
    return (
        event.event_id is not None
        and len(event.external_request_id) == _UUID_LENGTH
        and span_of(event.event_id) == event.external_request_id
    )


def span_of(event_id: str) -> str:
    """The span that an event with such an id was made of, without trace and version."""
    return event_id.rpartition("/")[2].partition("#")[0]


def identities(event: UsageEvent) -> list[tuple[Kind, str]]:
    """What the call is known by, each as the text of a UUID. Trace ids are written in hex with
    and without dashes."""
    found: list[tuple[Kind, str]] = []
    if event.provider_request_id is not None:
        found.append(("request", _uuid("request", event.provider, event.provider_request_id)))
    if event.trace_id is not None:
        found.append(("trace", _of_trace(event.trace_id)))
    if event.provider_request_id is None:
        found += _starts(event)
    return found + _within(event)


@lru_cache(maxsize=4_096)
def _of_trace(trace_id: str) -> str:
    return _uuid("trace", trace_id.replace("-", "").lower())


def _within(event: UsageEvent) -> list[tuple[Kind, str]]:
    """The call by what it used, in the minute in which it began: where a provider's client tells of
    its calls and a library around it has neither its trace nor the answer's id (OpenInference of
    Anthropic's streams), nothing else is in both. A call that begins with one minute and is told
    to begin in the one before is missed."""
    own = event.external_request_id.startswith(OWN_CLIENT)
    around = event.provider == _TELLS_ITSELF and event.provider_request_id is None
    if not own and not (around and (event.event_id or "").startswith(SPAN_EVENT)):
        return []
    if not event.output_tokens and event.status != "error":
        return []
    used = f"{event.model_executed or event.model}:{event.input_tokens}:{event.output_tokens}"
    minute = instant_text(event.occurred_at)[:_MINUTE]
    return [("within", _uuid("within", event.source, event.provider, used, minute))]


def _starts(event: UsageEvent) -> list[tuple[Kind, str]]:
    """The instant at which a run of LangSmith's began, to the millisecond; and the next one, where
    the two ways that it is sent by may round it to either.

    With `LANGSMITH_OTEL_ENABLED` the SDK sends each run as it is, and as a span in a trace of its
    own, with random ids. All that both tell is the call itself.
    """
    if event.external_request_id.startswith(RUN_AS_SPAN):
        at = (event.occurred_at - _EPOCH) // _MICROSECOND
        near = {(at + error) // 1_000 for error in (-ROUNDING, ROUNDING)}
    elif _is_run(event):
        near = {(event.occurred_at - _EPOCH) // (1_000 * _MICROSECOND)}
    else:
        return []
    return [("start", _uuid("start", event.source, event.provider, str(at))) for at in sorted(near)]


def note(events: Iterable[tuple[str, UsageEvent]], *, now: datetime) -> list[Shared]:
    """Add these events (each with its key) to the rows of their identities, in sorted order; the
    identities that others carry too. The rows are held until the transaction ends."""
    own, kinds = _own(events)
    if not own:
        return []
    ordered = sorted(own)
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO call_identity AS known (identity, members, noted_on)"
            " SELECT identity, string_to_array(members, E'\\n'), %s"
            " FROM unnest(%s::uuid[], %s::text[]) AS t(identity, members)"
            " ON CONFLICT (identity) DO UPDATE SET members = CASE"
            "  WHEN cardinality(known.members) < %s THEN known.members || excluded.members"
            "  ELSE known.members END"
            " RETURNING identity::text, CASE WHEN xmax <> 0 THEN members END",
            [
                now.date(),
                bulk.array(ordered),
                bulk.texts("\n".join([each.text for each in own[i]]) for i in ordered),
                MOST_MEMBERS,
            ],
        )
        rows = cursor.fetchall()
    return _shared(rows, own, kinds)


def look_up(events: Iterable[tuple[str, UsageEvent]]) -> list[Shared]:
    """As `note`, of events that are in the rows already."""
    own, kinds = _own(events)
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT identity::text, members FROM call_identity WHERE identity = ANY(%s::uuid[])"
            " ORDER BY identity FOR UPDATE",
            [bulk.array(sorted(own))],
        )
        return _shared(cursor.fetchall(), own, kinds)


_Own = dict[str, list[Member]]
_Kinds = dict[str, Kind]


def _own(events: Iterable[tuple[str, UsageEvent]]) -> tuple[_Own, _Kinds]:
    own: _Own = {}
    kinds: _Kinds = {}
    for key, event in events:
        member = Member(key, event.occurred_at, route_of(event))
        for kind, identity in identities(event):
            own.setdefault(identity, []).append(member)
            kinds[identity] = kind
    return own, kinds


def _shared(rows: Iterable[tuple[str, list[str] | None]], own: _Own, kinds: _Kinds) -> list[Shared]:
    shared = []
    for identity, known in rows:
        mine = own[identity]
        if known is None and (
            len(mine) == 1
            or (kinds[identity] != "request" and len({each.route for each in mine}) == 1)
        ):
            continue
        members = {each.key: each for each in mine}
        members |= {each.key: each for each in map(Member.of, known or ())}
        routes = {each.route for each in members.values()}
        if len(members) > 1 and (kinds[identity] == "request" or len(routes) > 1):
            shared.append(Shared(kinds[identity], tuple(sorted(members.values()))))
    return shared


def forget(*, now: datetime, after: timedelta, most: int) -> int:
    """Delete at most so many identities that were noted so long ago; how many. What reports such a
    call then counts by itself."""
    with bulk.cursor() as cursor:
        cursor.execute(
            "WITH old AS (SELECT identity FROM call_identity WHERE noted_on < %s LIMIT %s"
            "  FOR UPDATE SKIP LOCKED)"
            " DELETE FROM call_identity WHERE identity IN (SELECT identity FROM old)",
            [(now - after).date(), most],
        )
        return cursor.rowcount


def _uuid(*parts: str) -> str:
    h = sha256("\x1f".join(parts).encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}"
