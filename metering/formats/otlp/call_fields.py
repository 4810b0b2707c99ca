"""What a span that is a call says of it besides model, time and usage, as fields of an event."""

from __future__ import annotations

import re
from typing import Any, Final

from metering.formats.attribute_map import plain_text
from metering.formats.otlp.libraries import of_own_client
from metering.formats.otlp.spans import Facts, Span
from metering.formats.problems import Problem
from metering.formats.shares import by_tokens
from metering.formats.span_facts import error_code, provider_request_id
from metering.providers.counts import UnreadableUsage
from metering.providers.dialects import read_usage

RUN_AS_SPAN: Final = "langsmith:"
"""How the request ids begin of calls that LangSmith's SDK tells as spans: it may tell them a second
time, as runs."""
OWN_CLIENT: Final = "client:"
"""How the request ids begin of calls that a provider's own client tells of, as Anthropic's does: a
library that instruments it may tell them a second time."""
_CODE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")


def add_how(span: Span, fields: dict[str, Any]) -> None:
    """Add which model answered, where and in which tier, and whether it failed."""
    facts = span.facts
    for field, fact in _SIMPLE:
        if fact in facts and (text := plain_text(facts[fact])):
            fields[field] = text
    if span.failed or "error" in facts:
        fields |= _failure(facts)
    _add_tier(facts, fields)


_IDS: Final = (("provider_request_id", "response_id"), ("anon_id", "anonymous"))
_SIMPLE: Final = (("model_executed", "model_executed"), ("region", "region"))
"""Fields that are a fact as it is told."""


def add_ids(span: Span, fields: dict[str, Any]) -> None:
    """Add how the call is known: by the answer's id, and by who tells of it, where somebody else
    may tell of it too."""
    facts = span.facts
    for field, fact in _IDS:
        if fact in facts and (text := plain_text(facts[fact])):
            fields[field] = text
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


def settle_shares(fields: dict[str, Any]) -> Problem | None:
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
