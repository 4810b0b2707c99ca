"""What tracing formats say of a call: in parts, in any order, and more than once.

A span of a trace is told by one message or by several (created, then updated; its parent before
it or after it). A format turns each message into a `CallReport`; what they come to together is
decided here, and never by the order in which they arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from metering.domain.usage import COUNTS

PARENT: Final = "~parent"
ANCESTORS: Final = "~ancestors"
IS_CALL: Final = "~is_call"
ENDED_AT: Final = "~ended_at"
"""What is said of a span itself, under names that no field of an event has."""

SUPPOSED: Final = "~~"
"""`~~endpoint_tag` is what a format supposes an endpoint tag to be. It holds where nobody has told
one, in whatever message; tokens that are supposed (estimated from texts) hold of a call that is
over, did not fail, and whose usage nobody has told."""

_TAG: Final = "tags."
_COUNTED: Final = (*COUNTS, "units")
_ESTIMATED: Final = frozenset(_COUNTED)
_USAGE: Final = frozenset((*_COUNTED, "usage", "usage_format", "usage_quality"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LONGEST: Final = 1_000_000_000 * _MILLISECOND
"""The latency that an event can hold."""
_text: Final = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one message says of one span of a trace: all of it, or a part.

    `span_id` is unique within its trace. `parent_span_id` is `None` for a root and where the
    message does not tell; `ancestors` are all of them, outermost first, where the format tells
    them. `is_call` is true of a model call, false of an agent, chain or tool, whose usage never
    counts, and `None` where the message does not tell. `said_at` (aware UTC) is when the message
    was made and `rank` breaks its ties: the later one wins, field by field. `ended` is true when
    the call is over and no more usage is expected; `ended_at` (aware UTC) tells its latency where
    another message told when it began. `fields` are fields of `UsageEvent` by their
    names, as JSON values; only what is told, and never the text of a prompt or a completion. What
    the format supposes stands under such a name with `SUPPOSED` before it.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    ancestors: tuple[str, ...] = ()
    is_call: bool | None
    said_at: datetime
    rank: int = 0
    ended: bool | None
    ended_at: datetime | None = None
    fields: dict[str, Any]


class Told(NamedTuple):
    """A value and its place among what was said of the same thing: when (microseconds since 1970)
    and, at the same instant, in which rank."""

    said_at: int
    rank: int
    value: Any

    def over(self, other: Told) -> bool:
        """Whether this holds against the other. Of two said at once in one rank the greater text
        holds: any rule will do that does not ask which came first."""
        if (self.said_at, self.rank) != (other.said_at, other.rank):
            return (self.said_at, self.rank) > (other.said_at, other.rank)
        return _text(self.value) > _text(other.value)


class Span(NamedTuple):
    """What all reports of one span come to. `told` holds fields of an event by their names, tags
    one by one as `tags.NAME`, and what is said of the span itself as `PARENT`, `ANCESTORS`,
    `IS_CALL` and `ENDED_AT`; `first_said_at` is the earliest that anything was said of it, in
    microseconds."""

    told: Mapping[str, Told]
    ended: bool
    first_said_at: int

    @property
    def parent(self) -> str | None:
        told = self.told.get(PARENT)
        return None if told is None else str(told.value)

    @property
    def ancestors(self) -> Sequence[str]:
        told = self.told.get(ANCESTORS)
        return () if told is None else told.value

    @property
    def is_call(self) -> bool | None:
        told = self.told.get(IS_CALL)
        return None if told is None else bool(told.value)

    def fields(self) -> dict[str, Any]:
        """The fields as they stand, tags as a mapping again, and what is supposed where nothing
        is told.

        A usage object and counts beside it are two ways to say one thing. What the later message
        said of it stands alone: the older one would contradict it, not add to it.
        """
        fields: dict[str, Any] = {}
        tags: dict[str, Any] = {}
        stale = self._stale()
        for name, told in self.told.items():
            if name.startswith("~") or name in stale:
                continue
            if name.startswith(_TAG):
                tags[name.removeprefix(_TAG)] = told.value
            else:
                fields[name] = told.value
        if tags:
            fields["tags"] = tags
        supposed = {
            name.removeprefix(SUPPOSED): told.value
            for name, told in self.told.items()
            if name.startswith(SUPPOSED)
        }
        if supposed:
            _suppose(fields, supposed, ended=self.ended)
        ended_at = self.told.get(ENDED_AT)
        if ended_at is not None:
            latency = _latency_ms(fields.get("occurred_at"), ended_at.value)
            if latency is not None:
                fields.setdefault("latency_ms", latency)
        return fields

    def supposed(self) -> frozenset[str]:
        """The names of fields that are only supposed."""
        return frozenset(
            name.removeprefix(SUPPOSED)
            for name in self.told
            if name.startswith(SUPPOSED) and name.removeprefix(SUPPOSED) not in self.told
        )

    def _stale(self) -> frozenset[str]:
        said = {name: told[:2] for name, told in self.told.items() if name in _USAGE}
        counted = max((said[name] for name in _COUNTED if name in said), default=None)
        whole = said.get("usage")
        stale: set[str] = set()
        if counted is not None and whole is not None:
            if whole < counted:
                stale = {"usage", "usage_format"}
            else:
                stale = {name for name in _COUNTED if name in said and said[name] < whole}
        newest = max(filter(None, (counted, whole)), default=None)
        quality = said.get("usage_quality")
        if quality is not None and newest is not None and quality < newest:
            stale.add("usage_quality")
        return frozenset(stale)


def _latency_ms(began: object, ended: str) -> int | None:
    if not isinstance(began, str):
        return None
    try:
        took = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    except (TypeError, ValueError):
        return None
    return took // _MILLISECOND if timedelta(0) <= took <= _LONGEST else None


def _suppose(fields: dict[str, Any], supposed: dict[str, Any], *, ended: bool) -> None:
    """Add what is supposed where nothing is told."""
    estimated = {name: supposed.pop(name) for name in supposed.keys() & _ESTIMATED}
    for name, value in supposed.items():
        fields.setdefault(name, value)
    if not estimated:
        return
    if ended and fields.get("status") != "error" and _USAGE.isdisjoint(fields):
        fields.update(estimated, usage_quality="estimated")


class ToldOnce(NamedTuple):
    """A span of which one report is all that is known. It says the same as what `told_by` makes of
    that report, without giving each value its place among others, of which there are none."""

    parent: str | None
    ancestors: Sequence[str]
    is_call: bool | None
    ended: bool
    said_at: datetime
    stated: dict[str, Any]
    guessed: frozenset[str]

    def fields(self) -> dict[str, Any]:
        """As `Span.fields`."""
        return self.stated

    def supposed(self) -> frozenset[str]:
        """As `Span.supposed`."""
        return self.guessed


def told_once(report: CallReport, told: Mapping[str, Any]) -> ToldOnce:
    """The report's span, with `told` in the place of the report's own fields."""
    fields = {name: value for name, value in told.items() if value is not None}
    beside = [name for name in fields if name >= "~" and name[0] == "~"]
    tags = fields.get("tags")
    if tags is not None and (not tags or None in tags.values()):
        fields["tags"] = {tag: text for tag, text in tags.items() if text is not None}
        if not fields["tags"]:
            del fields["tags"]
    only_supposed = _NOTHING
    if beside:
        said = {name: fields.pop(name) for name in beside}
        supposed = {
            name.removeprefix(SUPPOSED): value
            for name, value in said.items()
            if name.startswith(SUPPOSED)
        }
        only_supposed = frozenset(supposed).difference(fields)
        _suppose(fields, supposed, ended=bool(report.ended))
    if report.ended_at is not None:
        latency = _latency_ms(fields.get("occurred_at"), report.ended_at.isoformat())
        if latency is not None:
            fields.setdefault("latency_ms", latency)
    return ToldOnce(
        report.parent_span_id,
        [a for a in report.ancestors if a != report.span_id] if report.ancestors else (),
        report.is_call,
        bool(report.ended),
        report.said_at if report.said_at.tzinfo is UTC else report.said_at.astimezone(UTC),
        fields,
        only_supposed,
    )


_NOTHING: Final[frozenset[str]] = frozenset()


def told_by(report: CallReport) -> Span:
    """What one report says. A value of `None` says nothing."""
    at = _microseconds(report.said_at)
    told: dict[str, Any] = {}
    for name, value in report.fields.items():
        if name == "tags":
            told.update((f"{_TAG}{tag}", text) for tag, text in (value or {}).items())
        else:
            told[name] = value
    told[PARENT] = report.parent_span_id
    told[ANCESTORS] = [a for a in report.ancestors if a != report.span_id] or None
    told[IS_CALL] = report.is_call
    told[ENDED_AT] = None if report.ended_at is None else report.ended_at.isoformat()
    return Span(
        {name: Told(at, report.rank, value) for name, value in told.items() if value is not None},
        ended=bool(report.ended),
        first_said_at=at,
    )


def join(one: Span, other: Span) -> Span:
    """What two sets of reports of one span come to: of everything, what was said last.

    In whatever order and however often they are joined, the same comes out.
    """
    told = dict(one.told)
    for name, value in other.told.items():
        known = told.get(name)
        if known is None or value.over(known):
            told[name] = value
    return Span(
        told,
        one.ended or other.ended,
        min(one.first_said_at, other.first_said_at),
    )


def first_said(span: Span) -> datetime:
    """When anything was first said of the span, in UTC."""
    return _EPOCH + timedelta(microseconds=span.first_said_at)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
