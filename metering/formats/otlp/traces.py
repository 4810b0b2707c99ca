"""OpenTelemetry's traces → `CallReport` or `Rejection`, span by span.

A span is one whole message: whoever made it has ended it. Spans that are no calls (agents, tools, a
web request around them) are told with their place in the tree and with whom they are for, because
calls inherit that; their usage counts nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from metering.domain.call_reports import SUPPOSED, CallReport
from metering.domain.price_matching import PROVIDER_ALIASES
from metering.domain.traces import INHERITED
from metering.domain.usage import Rejection
from metering.formats.attribute_map import DEFAULT, AttributeMap, plain_text
from metering.formats.genai_names import MORE, TAG_LIST, vocabulary
from metering.formats.native import EARLIEST, FUTURE
from metering.formats.otlp import json_encoding, protobuf_encoding
from metering.formats.otlp.calls import is_call, is_embedding
from metering.formats.otlp.libraries import of_own_client
from metering.formats.otlp.models import model_of, provider_of
from metering.formats.otlp.spans import Facts, Span
from metering.formats.otlp.texts import estimated
from metering.formats.otlp.usage import usage_of
from metering.formats.otlp.values import listed, object_of
from metering.formats.problems import Problem
from metering.formats.shares import by_tokens
from metering.formats.span_facts import error_code, provider_request_id, supposed_names
from metering.providers.counts import UnreadableUsage
from metering.providers.dialects import read_usage

Encoding = Literal["protobuf", "json"]

KNOWN_PROVIDERS: Final = (
    frozenset(PROVIDER_ALIASES)
    | frozenset(PROVIDER_ALIASES.values())
    | {"openai", "anthropic", "groq", "cohere", "deepseek", "openrouter", "perplexity", "cerebras"}
)
"""What is known where nobody says which providers the price lists have."""

_USER: Final = "user_id"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RUN_AS_SPAN: Final = "langsmith:"
"""How the request ids begin of calls that LangSmith's SDK tells as spans: it may tell them a second
time, as runs."""
OWN_CLIENT: Final = "client:"
"""How the request ids begin of calls that a provider's own client tells of, as Anthropic's does: a
library that instruments it may tell them a second time."""
_TRACE_DIGITS: Final = 32
_SPAN_DIGITS: Final = 16
_MILLION: Final = 1_000_000
_MAX_LATENCY: Final = 1_000_000_000
_LAST: Final = 253_402_300_799_000_000
"""The last microsecond that a `datetime` can hold; the largest number of nanoseconds is later."""
_CODE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")


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
    decoder = protobuf_encoding.spans if encoding == "protobuf" else json_encoding.spans
    reader = _Reader(received_at, attributes, providers)
    return map(reader.report, decoder(body, vocabulary(attributes)))


class _Reader:
    """Turns the spans of one export into reports."""

    def __init__(
        self, received_at: datetime, attributes: AttributeMap, providers: Collection[str]
    ) -> None:
        self._received_at = received_at
        self._attributes = attributes
        self._providers = providers
        self._known: dict[object, dict[str, Any]] = {}

    def report(self, span: Span) -> CallReport | Rejection:
        """What the span says, in the product's own fields."""
        if len(span.trace_id) != _TRACE_DIGITS or len(span.span_id) != _SPAN_DIGITS:
            return Rejection(
                place=span.place,
                reason="invalid_id",
                message="traceId must have 16 bytes and spanId 8, not all of them zero"
                " (in JSON: as hex digits)",
            )
        call = is_call(span)
        fields = self._attribution(span)
        problem = None
        if call is False:
            fields.pop("shares", None)
        else:
            problem = self._add_time(span, fields)
            self._add_call(span, fields)
            problem = problem or _settle_shares(fields)
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
        if _USER in span.own:
            user = plain_text(span.own[_USER])
            if user:
                fields[_USER] = user
            else:
                fields.pop(_USER, None)
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
        said = f"the span's time {started} ({at.isoformat()}) is"
        if at < EARLIEST:
            return Problem(
                "past_time", f"{said} before {EARLIEST.year}; send nanoseconds since 1970"
            )
        if at > self._received_at + FUTURE:
            return Problem(
                "future_time",
                f"{said} more than 24 hours after its receipt at {self._received_at.isoformat()};"
                " check the sender's clock",
            )
        return None

    def _add_call(self, span: Span, fields: dict[str, Any]) -> None:
        """Add what makes the span a call: who ran which model, how it ended, what it used."""
        facts = span.facts
        model = model_of(facts)
        if "asked_with" in facts:
            model = self._asked_with(facts, model, fields)
        provider, supposed = provider_of(facts, model, self._providers)
        if provider is not None:
            fields[f"{SUPPOSED}provider" if supposed else "provider"] = provider
        if model is not None:
            fields["model"] = model.removeprefix(f"{provider}/")
        for field, fact in _SIMPLE:
            if fact in facts and (text := plain_text(facts[fact])):
                fields[field] = text
        _add_ids(span, fields)
        if span.failed or "error" in facts:
            fields |= _failure(facts)
        _add_tier(facts, fields)
        self._add_usage(span, fields)

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

    def _add_usage(self, span: Span, fields: dict[str, Any]) -> None:
        embedding = is_embedding(span)
        provider = fields.get("provider") or fields.get(f"{SUPPOSED}provider", "")
        usage = usage_of(span, provider, embedding=embedding)
        if usage is not None:
            fields.update(usage.fields)
            if usage.doubts:
                fields["usage_quality"] = "inconsistent"
        elif span.ended and not span.failed:
            fields.update(estimated(span, fields.get("model")))


_SIMPLE: Final = (
    ("model_executed", "model_executed"),
    ("provider_request_id", "response_id"),
    ("anon_id", "anonymous"),
    ("region", "region"),
)
"""Fields that are a fact as it is told."""


def _add_ids(span: Span, fields: dict[str, Any]) -> None:
    """Add how the call is known: by the answer's id, and by who tells of it, where somebody else
    may tell of it too."""
    facts = span.facts
    if "response_id_of_library" in facts:
        found = provider_request_id(facts["response_id_of_library"])
        if found is not None:
            fields.setdefault("provider_request_id", found)
    if "langsmith_kind" in facts:
        fields["external_request_id"] = f"{RUN_AS_SPAN}{span.trace_id}/{span.span_id}"
        if provider_request_id(fields.get("provider_request_id")) is None:
            fields.pop("provider_request_id", None)  # a framework's: the run tells none either
    elif of_own_client(span):
        fields["external_request_id"] = f"{OWN_CLIENT}{span.trace_id}/{span.span_id}"


def _failure(facts: Facts) -> dict[str, str]:
    """That the call failed, and as what; never the error's text, which may repeat a prompt."""
    error = plain_text(facts.get("error"))
    code = error if error and _CODE.fullmatch(error) else error_code(error)
    return {"status": "error"} if code is None else {"status": "error", "error_code": code}


def _add_tier(facts: Facts, fields: dict[str, Any]) -> None:
    """The tier that served the call; `auto` leaves it open, and a batch is a way of calling."""
    tier = facts.get("tier") or facts.get("tier_asked")
    named = tier.strip().lower() if isinstance(tier, str) else ""
    if named == "batch":
        fields["batch"] = True
    elif named and named != "auto":
        fields["service_tier"] = named


def _instant(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(nanoseconds // 1000, _LAST))


def _settle_shares(fields: dict[str, Any]) -> Problem | None:
    """Turn weights into tokens of this call."""
    if "shares" not in fields:
        return None
    into, out = fields.get("input_tokens"), fields.get("output_tokens")
    if "usage" in fields:
        try:
            counts = read_usage(fields["usage"], declared=fields["usage_format"]).counts
        except UnreadableUsage as error:
            return Problem("unreadable_usage", str(error))
        into, out = counts.input_tokens, counts.output_tokens
    shares = by_tokens(fields["shares"], into, out)
    if isinstance(shares, str):
        return Problem("unreadable_shares", f"shares: {shares}")
    fields["shares"] = [
        {_SHARE_NAMES[name]: value for name, value in share.items()} for share in shares
    ]
    return None


_SHARE_NAMES: Final = {
    "tenant_id": "tenantId",
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
}
