"""OpenTelemetry's traces → `CallReport` or `Rejection`, span by span.

A span is one whole message: whoever made it has ended it. Spans that are no calls (agents, tools, a
web request around them) are told with their place in the tree and with whom they are for, because
calls inherit that; their usage counts nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from metering.domain.call_reports import SUPPOSED, CallReport
from metering.domain.price_matching import PROVIDER_ALIASES
from metering.domain.traces import INHERITED
from metering.domain.usage import Rejection
from metering.formats.attribute_map import DEFAULT, AttributeMap, plain_text
from metering.formats.genai_names import MORE, TAG_LIST, vocabulary
from metering.formats.native import EARLIEST, FUTURE
from metering.formats.otlp import json_encoding, protobuf_encoding
from metering.formats.otlp.call_fields import add_how, add_ids, settle_shares
from metering.formats.otlp.calls import is_call, is_embedding, likeness
from metering.formats.otlp.models import model_of, provider_of
from metering.formats.otlp.spans import Export, Facts, Span
from metering.formats.otlp.texts import estimated
from metering.formats.otlp.usage import usage_of
from metering.formats.otlp.values import listed, object_of
from metering.formats.problems import Problem
from metering.formats.span_facts import supposed_names

Encoding = Literal["protobuf", "json"]

KNOWN_PROVIDERS: Final = (
    frozenset(PROVIDER_ALIASES)
    | frozenset(PROVIDER_ALIASES.values())
    | {"openai", "anthropic", "groq", "cohere", "deepseek", "openrouter", "perplexity", "cerebras"}
)
"""What is known where nobody says which providers the price lists have."""

_USER: Final = "user_id"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRACE_DIGITS: Final = 32
_SPAN_DIGITS: Final = 16
_MILLION: Final = 1_000_000
_MAX_LATENCY: Final = 1_000_000_000
_LAST: Final = 253_402_300_799_000_000
"""The last microsecond that a `datetime` can hold; the largest number of nanoseconds is later."""


def read(
    body: bytes,
    encoding: Encoding,
    *,
    received_at: datetime,
    attributes: AttributeMap = DEFAULT,
    providers: Collection[str] = KNOWN_PROVIDERS,
) -> Iterator[CallReport | Rejection]:
    """One item per span, in the order of sending. Raises `UndecodableExport` before the first;
    whatever a single span holds is that span's own matter, and nothing is raised for it.

    `received_at` (aware UTC) is the measure of `future_time`; `attributes` says which attribute
    means which field; `providers` are those that are known, besides OpenTelemetry's names.
    """
    export = decode(body, encoding, attributes=attributes)
    return interpret(export, received_at=received_at, attributes=attributes, providers=providers)


def decode(body: bytes, encoding: Encoding, *, attributes: AttributeMap = DEFAULT) -> Export:
    """The first half of `read`. Raises `UndecodableExport`."""
    decoder = protobuf_encoding.decode if encoding == "protobuf" else json_encoding.decode
    return decoder(body, vocabulary(attributes))


def interpret(
    export: Export,
    *,
    received_at: datetime,
    attributes: AttributeMap = DEFAULT,
    providers: Collection[str] = KNOWN_PROVIDERS,
) -> Iterator[CallReport | Rejection]:
    """The second half of `read`, of what was decoded with the same `attributes`."""
    return map(_Reader(received_at, attributes, providers).report, export.spans())


class _Reader:
    """Turns the spans of one export into reports."""

    def __init__(
        self, received_at: datetime, attributes: AttributeMap, providers: Collection[str]
    ) -> None:
        self._received_at = received_at
        self._attributes = attributes
        self._providers = providers
        self._known: dict[object, dict[str, Any]] = {}
        self._kinds = _kinds_of(attributes, providers)

    def report(self, span: Span) -> CallReport | Rejection:
        """What the span says, in the product's own fields."""
        if len(span.trace_id) != _TRACE_DIGITS or len(span.span_id) != _SPAN_DIGITS:
            return Rejection(
                place=span.place,
                reason="invalid_id",
                message="traceId must have 16 bytes and spanId 8, not all of them zero"
                " (in JSON: as hex digits)",
            )
        kind = None if span.alike is None else self._kind(span)
        if kind is None:
            call, fields = is_call(span), self._attribution(span)
        else:
            call, fields = kind.call, self._of_kind(kind, span)
        problem = None
        if call is False:
            fields.pop("shares", None)
        else:
            problem = self._add_time(span, fields)
            if kind is None:
                self._add_call(span, fields)
            else:
                add_ids(span, fields)
                self._add_usage(span, fields, embedding=kind.embedding)
            problem = problem or settle_shares(fields)
        if problem is not None:
            return Rejection(
                place=span.place,
                reason=problem.reason,
                message=problem.message,
                key=f"{span.trace_id}/{span.span_id}",
            )
        return CallReport(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_span_id=span.parent_id or None,
            is_call=call,
            said_at=_instant(span.ended) if span.ended else self._received_at,
            ended=True if span.ended else None,
            fields=fields,
        )

    def _kind(self, span: Span) -> _Kind | None:
        """What the span has in common with those that are alike, worked out for the first of them;
        `None` where what is its own decides more than ids and usage."""
        key = (span.alike, span.scope, span.failed, *likeness(span))
        known = self._kinds.get(key, _UNKNOWN)
        if known is _UNKNOWN:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            known = self._kinds[key] = self._worked_out_kind(span)
        return known

    def _worked_out_kind(self, span: Span) -> _Kind | None:
        if "asked_with" in span.facts:
            return None
        own = {name: value for name, value in span.own.items() if name != _USER}
        fields = self._worked_out(span, own)
        call = is_call(span)
        if call is not False:
            self._add_who_ran(span.facts, fields)
            add_how(span, fields)
        return _Kind(call, fields, is_embedding(span))

    def _of_kind(self, kind: _Kind, span: Span) -> dict[str, Any]:
        fields = kind.fields.copy()
        if "tags" in fields:
            fields["tags"] = fields["tags"].copy()
        _name_user(span, fields)
        return fields

    def _attribution(self, span: Span) -> dict[str, Any]:
        """Whom the span is for: as it says itself, else as the program around it says. Most spans
        of an export are for few, so what was worked out once is remembered."""
        own = span.own
        if _USER in own:  # of whom there are many
            own = {name: value for name, value in own.items() if name != _USER}
        try:
            key = (id(span.resource), *own.items())
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = self._worked_out(span, own)
        except TypeError:  # a list or a mapping
            known = self._worked_out(span, own)
        fields = dict(known)
        if "tags" in fields:
            fields["tags"] = dict(fields["tags"])
        _name_user(span, fields)
        return fields

    def _worked_out(self, span: Span, own: Facts) -> dict[str, Any]:
        told = self._with_metadata(own)
        if span.resource:
            told = {**self._with_metadata(span.resource), **told}
        fields = self._attributes.settle(told)
        if span.resource:
            self._suppose_the_programs(own, fields)
        fallback = fields.pop("endpoint_fallback", None)
        if fallback is not None:
            fields.setdefault(f"{SUPPOSED}endpoint_tag", fallback)
        if "trace_name" in told:
            fields = {**supposed_names(plain_text(told["trace_name"])), **fields}
        return fields

    def _suppose_the_programs(self, own: Facts, fields: dict[str, Any]) -> None:
        """What the program says of all its spans holds where no span around this one says other."""
        told = self._attributes.settle(self._with_metadata(own)) if own else {}
        for name in INHERITED:
            if name in fields and name not in told:
                fields[f"{SUPPOSED}{name}"] = fields.pop(name)

    def _with_metadata(self, told: Facts) -> Facts:
        """The facts, with what metadata and lists of tags say where no attribute says it."""
        more: Facts = {}
        for fact, value in told.items():
            if fact[0] != MORE:
                continue
            own = self._attributes
            layer = own.of_tags(listed(value)) if fact.startswith(TAG_LIST) else object_of(value)
            for name, said in own.pick(layer).items():
                more.setdefault(name, said)
        return {**more, **told} if more else told

    def _add_time(self, span: Span, fields: dict[str, Any]) -> Problem | None:
        """Add when the call began, and how long it took; or why that cannot be."""
        started = span.started or span.ended
        if not started:
            return None
        at = _instant(started)
        fields["occurred_at"] = at.isoformat()
        if 0 < span.started <= span.ended:
            fields["latency_ms"] = min((span.ended - span.started) // _MILLION, _MAX_LATENCY)
        if EARLIEST <= at <= self._received_at + FUTURE:
            return None
        said = f"the span's time {started} ({at.isoformat()}) is"
        if at < EARLIEST:
            return Problem(
                "past_time", f"{said} before {EARLIEST.year}; send nanoseconds since 1970"
            )
        return Problem(
            "future_time",
            f"{said} more than 24 hours after its receipt at {self._received_at.isoformat()};"
            " check the sender's clock",
        )

    def _add_call(self, span: Span, fields: dict[str, Any]) -> None:
        """Add what makes the span a call: who ran which model, how it ended, what it used."""
        self._add_who_ran(span.facts, fields)
        add_how(span, fields)
        add_ids(span, fields)
        self._add_usage(span, fields, embedding=is_embedding(span))

    def _add_who_ran(self, facts: Facts, fields: dict[str, Any]) -> None:
        model = model_of(facts)
        if "asked_with" in facts:
            model = self._asked_with(facts, model, fields)
        provider, supposed = provider_of(facts, model, self._providers)
        if provider is not None:
            fields[f"{SUPPOSED}provider" if supposed else "provider"] = provider
        if model is not None:
            fields["model"] = model.removeprefix(f"{provider}/")

    def _asked_with(self, facts: Facts, model: str | None, fields: dict[str, Any]) -> str | None:
        """The model that the request's own parameters ask for; the one beside them is then the one
        that answered. Add what else they tell: for whom, and in which tier."""
        asked = object_of(facts["asked_with"])
        user = plain_text(asked.get("user"))
        if user:
            fields.setdefault(_USER, user)
        if "service_tier" in asked:
            facts.setdefault("tier_asked", asked["service_tier"])
        named = plain_text(asked.get("model"))
        if not named:
            return model
        if model is not None and model != named and "model_executed" not in facts:
            fields["model_executed"] = model
        return named

    def _add_usage(self, span: Span, fields: dict[str, Any], *, embedding: bool) -> None:
        provider = fields.get("provider") or fields.get(f"{SUPPOSED}provider", "")
        usage = usage_of(span, provider, embedding=embedding)
        if usage is not None:
            fields.update(usage.fields)
            if usage.doubts:
                fields["usage_quality"] = "inconsistent"
        elif span.ended and not span.failed:
            fields.update(estimated(span, fields.get("model")))


class _Kind(NamedTuple):
    """What spans have in common that are alike: whether they are calls, whom they are for, who ran
    which model and how it ended."""

    call: bool | None
    fields: dict[str, Any]
    embedding: bool


_Kinds = dict[tuple[Hashable, ...], _Kind | None]
_UNKNOWN: Final = _Kind(None, {}, embedding=False)
_MOST_KINDS: Final = 4_096

_remembered: dict[tuple[AttributeMap, Collection[str]], _Kinds] = {}
_MOST_READERS: Final = 64


def _kinds_of(attributes: AttributeMap, providers: Collection[str]) -> _Kinds:
    """The kinds of spans met before in exports that were read like this."""
    place = attributes, frozenset(providers)
    known = _remembered.get(place)
    if known is None:
        if len(_remembered) >= _MOST_READERS:
            _remembered.clear()
        known = _remembered[place] = {}
    return known


def _name_user(span: Span, fields: dict[str, Any]) -> None:
    if _USER in span.own:
        user = plain_text(span.own[_USER])
        if user:
            fields[_USER] = user
        else:
            fields.pop(_USER, None)


def _instant(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(nanoseconds // 1000, _LAST))
