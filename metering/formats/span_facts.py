"""What messages of tracing libraries say of a span, brought to the native event's values: times,
failures, who ran a model, and estimates from texts, which themselves go no further.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from metering.domain.call_reports import SUPPOSED
from metering.domain.estimation import request_tokens, text_tokens
from metering.domain.price_matching import PROVIDER_ALIASES
from metering.formats.attribute_map import DEFAULT, AttributeMap
from metering.formats.model_providers import provider_named, provider_of_model

WELL_KNOWN: Final = frozenset(
    {
        *PROVIDER_ALIASES.values(),
        *("openai", "anthropic", "groq", "deepseek", "openrouter", "cerebras", "databricks"),
    }
)
"""Providers that every installation knows; price lists and owners add others."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND: Final = 253_402_300_799
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A number from here on counts milliseconds, below it seconds (until the year 5138)."""
_TEXT_LIMIT: Final = 2_000_000
"""Characters of text that are estimated from; a longer text is estimated by its beginning."""
_DEPTH: Final = 12
_ERROR_NAME: Final = re.compile(
    r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:Error|Exception|Timeout|Interrupt))\b"
)
_ERROR_STATUS: Final = re.compile(r"\b([45]\d\d)\b")
_EXPLICIT: Final = "apportion.provider"
_PROVIDER_KEYS: Final = (
    *(_EXPLICIT, "ls_provider", "gen_ai.provider.name", "gen_ai.system"),
    *("llm.provider", "ai.model.provider", "custom_llm_provider", "provider", "llm_provider"),
)
_TIERS: Final = frozenset({"default", "standard", "flex", "priority", "batch", "on_demand"})
_MAX_NAME: Final = 200
_HAS_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}|[0-9]{9}", re.IGNORECASE)
_REQUEST_ID: Final = re.compile(r"(chatcmpl|cmpl|resp|msg|gen|embd)[-_][A-Za-z0-9_-]{4,180}")


class Interpretation(NamedTuple):
    """How a source's messages are read: which metadata mean what, and which providers there are
    besides those of the models' names."""

    attributes: AttributeMap = DEFAULT
    providers: Collection[str] = WELL_KNOWN


READ_AS_USUAL: Final = Interpretation()


def instant(value: object) -> datetime | None:
    """A time as tracing libraries write it, in UTC: ISO text (without a zone it is UTC) or the
    seconds or milliseconds since 1970. `None` for what is no time."""
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        try:
            return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
        except OverflowError:
            return None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _since_epoch(value)
    return None


def no_time(**told: object) -> str | None:
    """What is wrong with the first of these times that was told and cannot be read. Taken for one
    that nobody told, it would date the call by its receipt, or leave it open."""
    for name, value in told.items():
        if value not in (None, "") and instant(value) is None:
            return f"{name} {value!r:.80} is no time; write it like 2026-10-03T12:00:00Z"
    return None


def _since_epoch(value: int | Decimal) -> datetime | None:
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() > 20:  # noqa: PLR2004 - far beyond any time
        return None
    if abs(number) >= _MILLISECONDS_FROM:
        number = number / 1000
    if not 0 <= number <= _LAST_SECOND:
        return None
    return _EPOCH + timedelta(microseconds=int(number * 1_000_000))


def written(at: datetime) -> str:
    """The time as a native field: ISO text in UTC."""
    return at.isoformat().replace("+00:00", "Z")


def error_code(said: object) -> str | None:
    """The name of the error (`RateLimitError`), else its HTTP status. An error's text may repeat a
    prompt, so nothing else of it is kept."""
    if not isinstance(said, str):
        return None
    beginning = said[:2000]
    found = _ERROR_NAME.search(beginning) or _ERROR_STATUS.search(beginning)
    return found[1][:100] if found else None


def provider(
    model: str | None, known: Collection[str], *layers: Mapping[str, object]
) -> dict[str, str]:
    """Who ran the model, as a field: the first name in the layers that is known, else as supposed
    by the model's name; last a name that nobody knows, so that its refusal can name it."""
    unknown = None
    for layer in layers:
        for key in _PROVIDER_KEYS:
            said = layer.get(key)
            named = provider_named(said) if isinstance(said, str) else None
            if named is None:
                continue
            if key == _EXPLICIT or named in known:
                return {"provider": named}
            unknown = unknown or named
    supposed = None if model is None else provider_of_model(model)
    if supposed is not None:
        return {f"{SUPPOSED}provider": supposed}
    return {} if unknown is None else {"provider": unknown}


def served_tier(asked: object) -> str | None:
    """The tier that a request asked for, where that is the one that serves it; `auto` leaves it
    open."""
    tier = asked.strip().lower() if isinstance(asked, str) else ""
    return tier if tier in _TIERS else None


def supposed_names(name: str | None) -> dict[str, str]:
    """The name of a whole trace as its workflow and endpoint tag, where nobody tells them. A name
    with an id in it is one trace's alone, and tells no feature."""
    named = (name or "").strip()
    if not named or len(named) > _MAX_NAME or _HAS_ID.search(named):
        return {}
    return {f"{SUPPOSED}{field}": named for field in ("workflow", "endpoint_tag")}


def provider_request_id(said: object) -> str | None:
    """An answer's id if it has the form of a provider's; frameworks put ids of their own there."""
    return said if isinstance(said, str) and _REQUEST_ID.fullmatch(said) else None


def estimates(model: str | None, asked: object, answered: object) -> dict[str, int]:
    """The tokens that texts come to, as fields that hold where nobody reports usage. `None` for a
    text that the message does not have."""
    fields: dict[str, int] = {}
    name = model or ""
    if asked is not None:
        request = _request(asked)
        tokens = request_tokens(name, request)
        if not tokens:
            tokens = text_tokens(name, _joined(_every_text(request, _DEPTH)))
        fields[f"{SUPPOSED}input_tokens"] = tokens
    if answered is not None:
        fields[f"{SUPPOSED}output_tokens"] = text_tokens(name, _joined(_texts(answered, _DEPTH)))
    return fields


def _joined(texts: Iterator[str]) -> str:
    return "\n".join(texts)[:_TEXT_LIMIT]


def _request(asked: object) -> dict[str, Any]:
    """What was asked, in the form of a request's body."""
    cut: Any = _cut(asked, _DEPTH)
    if isinstance(cut, list):
        cut = {"messages": cut}
    if not isinstance(cut, dict):
        return {"input": cut}
    if "prompts" in cut:
        cut["prompt"] = cut.pop("prompts")
    messages = cut.get("messages")
    if isinstance(messages, list):
        cut["messages"] = [_message(each) for part in messages for each in _list_of(part)]
    return cut


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _message(value: Any) -> Any:
    """LangChain's message (`{"lc": 1, "kwargs": {"content": …}}`) as one of a chat."""
    if isinstance(value, str):
        return {"role": "user", "content": value}
    if isinstance(value, dict) and isinstance(value.get("kwargs"), dict):
        return {"role": "user", "content": value["kwargs"].get("content")}
    return value


def _cut(value: Any, depth: int) -> Any:
    """The value without what stands too deep to be a text."""
    if isinstance(value, Mapping):
        return {key: _cut(each, depth - 1) for key, each in value.items()} if depth else {}
    if isinstance(value, list):
        return [_cut(each, depth - 1) for each in value] if depth else []
    return value[:_TEXT_LIMIT] if isinstance(value, str) else value


def _every_text(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _every_text(each, depth - 1)


_ANSWER_KEYS: Final = (
    *("choices", "generations", "message", "messages", "content", "text", "output", "outputs"),
    *("completion", "answer", "response", "tool_calls", "function", "function_call", "arguments"),
    *("reasoning_content", "reasoning", "thinking", "parts", "candidates", "kwargs", "input"),
)
"""Where the text of an answer stands; ids, names and figures beside it are no text."""


def _texts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, list):
        for each in value:
            yield from _texts(each, depth - 1)
    elif depth and isinstance(value, Mapping):
        if "message" in value and isinstance(value.get("text"), str):
            value = {key: each for key, each in value.items() if key != "text"}  # said in both
        for key in _ANSWER_KEYS:
            if key in value:
                yield from _texts(value[key], depth - 1)
