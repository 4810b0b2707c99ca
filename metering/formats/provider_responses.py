"""A provider's own response, as it came: one JSON object → `UsageEvent` or `Rejection`.

OpenAI's chat completions, completions, responses and embeddings, and those of the many servers
that speak its dialect (vLLM); Anthropic's messages; Gemini's answers. Lines of a batch's output,
OpenAI's (vLLM's too) and Anthropic's, are such responses in an envelope, and count as called
through the batch interface.

Of a response only its id, model, time, tier, usage and metadata are read. It does not say who sent
it: the provider is what the importer says, else the one that the model's name belongs to. Of a
stream, the last chunk is a response as well (usage is cumulative); others are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from metering.domain.usage import Rejection, UsageEvent
from metering.formats.attribute_map import DEFAULT, AttributeMap
from metering.formats.model_providers import provider_of_model
from metering.formats.spelt_out import (
    Unreadable,
    instant_of_seconds,
    object_in,
    object_of,
    refused,
    spell_out,
    text_of,
)

_IDS: Final = ("id", "responseId", "response_id")
_MODELS: Final = ("model", "modelVersion", "model_version")
_USAGES: Final = ("usage", "usageMetadata", "usage_metadata")
_TIMES: Final = ("created", "created_at", "createTime", "create_time")
_USERS: Final = ("safety_identifier", "user")


def parse(
    payload: bytes,
    *,
    place: str,
    source: str,
    received_at: datetime,
    provider: str = "",
    attributes: AttributeMap = DEFAULT,
) -> UsageEvent | Rejection:
    """Read one response. Nothing that the bytes hold makes this raise."""
    sent = object_of(payload, place=place)
    if isinstance(sent, Rejection):
        return sent
    key = _first(sent, "custom_id", *_IDS)
    try:
        fields = _fields(sent, provider, attributes)
    except Unreadable as error:
        return refused(error, place=place, key=key)
    return spell_out(fields, place=place, source=source, received_at=received_at)


def _fields(sent: Mapping[str, Any], provider: str, attributes: AttributeMap) -> dict[str, Any]:
    body, batch = _body(sent)
    usage = _usage(body)
    if usage is None:
        raise Unreadable(
            "no_usage",
            "the response holds no usage object; a stream's usage comes with its last chunk, if"
            " stream_options.include_usage asks for it",
            "usage",
        )
    model = _first(body, *_MODELS)
    if model is None:
        raise Unreadable("missing_field", "the response names no model", "model")
    ran = provider or provider_of_model(model)
    if not ran:
        raise Unreadable(
            "missing_field",
            f"the model {model!r:.80} does not tell whose it is; say it with --provider",
            "provider",
        )
    answer = _first(body, *_IDS)
    event = answer or _first(sent, *_IDS)
    if event is None:
        raise Unreadable(
            "missing_field", "the response has no id, so a resend could not be told", "id"
        )
    users = {"user_id": _first(body, *_USERS)}
    return {
        **attributes.read(object_in(body, "metadata"), users),
        "external_request_id": _first(sent, "custom_id") or event,
        "event_id": event,
        "provider_request_id": answer,
        "provider": ran,
        "model": model,
        "usage": usage,
        "occurred_at": _time(body),
        "service_tier": text_of(body.get("service_tier")),
        "batch": True if batch else None,
    }


def _usage(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The usage object, with what stands beside it of a compound system's models; in Groq's
    streams both are under `x_groq`."""
    for holder in (body, object_in(body, "x_groq")):
        found = next((holder[n] for n in _USAGES if isinstance(holder.get(n), Mapping)), None)
        if found is not None:
            parts = holder.get("usage_breakdown")
            return found if parts is None else {**found, "usage_breakdown": parts}
    return None


def _body(sent: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The response itself, and whether it came through a batch."""
    envelope, result = object_in(sent, "response"), object_in(sent, "result")
    if isinstance(envelope.get("body"), Mapping):
        return envelope["body"], True
    if isinstance(result.get("message"), Mapping):
        return result["message"], True
    if str(sent.get("type")).startswith("response.") and envelope:
        return envelope, False  # the event that ends a stream of the responses API
    if "custom_id" in sent:
        raise Unreadable("no_usage", "this request of the batch failed, and used nothing", "error")
    return sent, False


def _time(body: Mapping[str, Any]) -> datetime | None:
    for name in _TIMES:
        value = body.get(name)
        if value is None:
            continue
        found = None
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            found = instant_of_seconds(value)
        elif isinstance(value, str):
            found = _written(value)
        if found is None:
            raise Unreadable("invalid_time", f"{name} is {value!r:.60}, which is no time", name)
        return found
    return None


def _written(value: str) -> datetime | None:
    try:
        at = msgspec.convert(value.strip(), datetime)
    except msgspec.ValidationError:
        return None
    return None if at.tzinfo is None else at


def _first(holder: Mapping[str, Any], *names: str) -> str | None:
    return next((text for name in names if (text := text_of(holder.get(name)))), None)
