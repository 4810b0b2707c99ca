"""LiteLLM's own record of a call: one JSON object → `UsageEvent` or `Rejection`.

Two shapes: the standard logging payload that the `generic_api` callback posts, and a row of the
spend logs. What is particular to them:

- The key is `id`, the provider's answer id and the primary key of LiteLLM's own spend logs. A call
  without one (a failure, an embedding) has LiteLLM's call id there, which the proxy keeps through
  its retries; then the start of the call tells the attempts apart. Answers that are logged twice
  (a stream's, by two handlers) so count once.
- Retries and fallbacks are calls of their own with one `externalRequestId`: the call id behind a
  proxy, the trace id elsewhere (which is the session's, where the caller names a session). The
  payload of a fallback names its own model group, so that is the model it is charged by, unless
  `metadata.original_model_group` says what was asked for first.
- `cache_hit` is an answer of LiteLLM's own cache: it cost nothing and is charged as work done.
- `response_cost` and `spend` are not read: they are binary floats, may hold the operator's margin,
  and are 0 for models that LiteLLM does not know.
- Times without a zone are UTC, as the proxy writes them.
- `messages`, `response` (but for its model and tier), `proxy_server_request` and what errors said
  in words are never read: they are what people wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from metering.domain.usage import Rejection, UsageEvent
from metering.formats.attribute_map import DEFAULT, AttributeMap
from metering.formats.malformed import UNDECODABLE
from metering.formats.model_providers import provider_of_model
from metering.formats.spelt_out import (
    Unreadable,
    instant_of_seconds,
    object_in,
    object_of,
    refused,
    spell_out,
    spell_out_missing,
    text_of,
    whole_of,
)

ATTRIBUTES: Final = DEFAULT.preferring(
    tags={
        "user_api_key_team_alias": "team",
        "user_api_key_alias": "key",
        "user_api_key_project_alias": "project",
    }
)
"""Where nothing else names them: the tenant is the organisation or team of the virtual key, the
user is the end user, else whoever the key belongs to."""

_OWN_NAMES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("tenant_id", ("user_api_key_org_id", "organization_id", "user_api_key_team_id", "team_id")),
    ("user_id", ("end_user", "user_api_key_end_user_id", "user_api_key_user_id", "user")),
)
_PROVIDERS: Final = {
    "text-completion-openai": "openai",
    "custom_openai": "openai",
    "azure_text": "azure",
    "anthropic_text": "anthropic",
    "vertex_ai_beta": "vertex_ai",
    "sagemaker_chat": "sagemaker",
    "ollama_chat": "ollama",
    "cohere_chat": "cohere",
    "hosted_vllm": "vllm",
    "xai": "x-ai",
}
"""LiteLLM's names for ways of calling a provider → the provider."""
_CACHED: Final = (True, "true", "True")
_BATCHES: Final = frozenset({"retrieve_batch", "aretrieve_batch"})
_READS: Final = ("list", "retrieve", "delete", "cancel", "get", "create_file", "create_batch")
"""Beginnings of call types that read or manage something and run no model."""
_NOBODY: Final = "default_user_id"
"""Whom LiteLLM's master key belongs to."""
_AUTOMATIC_TAG: Final = "User-Agent: "
_MILLISECOND: Final = timedelta(milliseconds=1)
_MAX_LATENCY: Final = 1_000_000_000

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def parse(
    payload: bytes,
    *,
    place: str,
    source: str,
    received_at: datetime,
    attributes: AttributeMap = ATTRIBUTES,
) -> UsageEvent | Rejection:
    """Read one record. Nothing that the bytes hold makes this raise."""
    sent = object_of(payload, place=place)
    if isinstance(sent, Rejection):
        return sent
    try:
        fields = _fields(sent, attributes)
        spell = spell_out if _tells_usage(sent, fields) else spell_out_missing
    except Unreadable as error:
        return refused(error, place=place, key=_first(sent, "id", "request_id", "litellm_call_id"))
    return spell(fields, place=place, source=source, received_at=received_at)


def _fields(sent: Mapping[str, Any], attributes: AttributeMap) -> dict[str, Any]:
    if isinstance(sent.get("usage"), str) and "modelParameters" in sent:
        raise Unreadable(
            "old_payload",
            "this is LiteLLM's first payload, which writes the usage as Python's text; remove"
            " litellm.generic_api_use_v1, so that standard logging payloads are sent",
            "usage",
        )
    metadata = _object_or_text(sent, "metadata")
    failed = "failure" in (sent.get("status"), metadata.get("status"))
    started = _instant(sent, "startTime")
    cached = sent.get("cache_hit") in _CACHED
    event_id, request_id, answer_id = _ids(sent, metadata, started)
    provider, executed = _ran(sent, failed=failed)
    asked = text_of(metadata.get("original_model_group")) or text_of(sent.get("model_group"))
    breakdown = object_in(sent, "cost_breakdown")
    tier = text_of(breakdown.get("service_tier")) or text_of(
        object_in(sent, "response").get("service_tier")
    )
    return {
        **_attribution(sent, metadata, attributes),
        **_counts(sent, metadata),
        "external_request_id": request_id,
        "event_id": event_id,
        "provider": provider,
        "model": asked or executed,
        "model_executed": executed if asked else _answered_by(sent),
        "provider_request_id": None if failed or cached else answer_id,
        "occurred_at": started,
        "status": "error" if failed else "success",
        "error_code": _error_code(sent, metadata) if failed else None,
        "latency_ms": _latency(sent),
        "served_from": "caller_cache" if cached else None,
        "service_tier": tier,
        "region": text_of(breakdown.get("vertex_location")),
        "batch": True if text_of(sent.get("call_type")) in _BATCHES else None,
        "trace_id": _first(sent, "trace_id", "session_id"),
    }


def _ids(
    sent: Mapping[str, Any], metadata: Mapping[str, Any], started: datetime | None
) -> tuple[str, str, str | None]:
    """The event's id, the request's id, and the provider's id of its answer if it has one."""
    answer, call = _first(sent, "id", "request_id"), _first(sent, "litellm_call_id")
    trace = _first(sent, "trace_id")
    proxied = _first(metadata, "user_api_key_hash", "user_api_key") or _first(sent, "api_key")
    request = (call if proxied else trace) or trace or call or answer
    if request is None:
        raise Unreadable("missing_field", "neither id nor litellm_call_id is there", "id")
    if answer is not None and answer != call and sent.get("status") != "failure":
        return answer, request, answer
    attempt = f"{answer or call}@{started.isoformat()}" if started else answer or call or request
    return attempt, request, None


def _ran(sent: Mapping[str, Any], *, failed: bool) -> tuple[str, str]:
    """The provider and the model that ran. LiteLLM writes some models with their provider before
    a slash, and Azure's by the name of the deployment, whose model the price map knows."""
    model = text_of(sent.get("model"))
    provider = text_of(sent.get("custom_llm_provider"))
    if model is None:
        raise Unreadable(
            "no_provider_call" if failed else "missing_field",
            "model is empty: no provider was called, so there is no usage"
            if failed
            else "model is empty; which model ran is what a call is priced by",
            "model",
        )
    if provider is not None:
        model = model.removeprefix(f"{provider}/") or model
    else:
        provider = provider_of_model(model)
    if provider is None:
        raise Unreadable(
            "no_provider_call" if failed else "missing_field",
            f"custom_llm_provider is empty, and the model {model!r:.80} does not tell whose it is",
            "custom_llm_provider",
        )
    if provider.startswith("azure"):
        known = object_in(sent, "model_map_information")
        if known.get("model_map_value") is not None:
            model = text_of(known.get("model_map_key")) or model
            model = model.removeprefix(f"{provider}/")
    return _PROVIDERS.get(provider, provider), model


def _answered_by(sent: Mapping[str, Any]) -> str | None:
    """The model that the answer itself names; behind a router that is the group's name, so it is
    asked only where no group was called."""
    response = sent.get("response")
    return text_of(response.get("model")) if isinstance(response, Mapping) else None


def _counts(sent: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    for holder in (metadata, object_in(sent, "hidden_params")):
        usage = object_in(holder, "usage_object")
        if usage:
            break
    else:
        usage = object_in(object_in(sent, "response"), "usage")
    if usage:
        brought = "prompt_tokens" in usage or "completion_tokens" in usage
        return {"usage": usage, "usage_format": "litellm" if brought else None}
    return {
        "input_tokens": _whole(sent, "prompt_tokens"),
        "output_tokens": _whole(sent, "completion_tokens"),
    }


def _whole(sent: Mapping[str, Any], name: str) -> int | None:
    value = sent.get(name)
    return None if value is None else whole_of(value, name)


def _tells_usage(sent: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Whether the record tells what was used. LiteLLM writes 0 for what it was not told: of a
    failure or a cached answer that is true, of a successful call it tells nothing.

    Raises `Unreadable` for a success that ran no model at all: whatever it read or managed is
    logged where it is used.
    """
    told = fields.get("usage") or {
        name: fields.get(name) for name in ("input_tokens", "output_tokens")
    }
    if any(_is_some(value) or _is_no_count(name, value) for name, value in told.items()):
        return True
    if fields["status"] == "error" or fields["served_from"]:
        return any(value is not None for value in told.values())
    kind = str(sent.get("call_type") or "")
    if any(name in kind for name in _READS):
        raise Unreadable("no_usage", f"call_type {kind!r:.60} ran no model and used nothing")
    return False


def _is_no_count(name: str, value: object) -> bool:
    """Tokens that are no number: to be refused as such, not taken for untold."""
    return "tokens" in name and isinstance(value, str)


def _is_some(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_is_some(each) for each in value.values())
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value != 0


def _attribution(
    sent: Mapping[str, Any], metadata: Mapping[str, Any], attributes: AttributeMap
) -> dict[str, Any]:
    headers = object_in(metadata, "requester_custom_headers")
    prompt = object_in(metadata, "prompt_management_metadata")
    told = attributes.read(
        object_in(metadata, "requester_metadata"),
        object_in(metadata, "spend_logs_metadata"),
        attributes.of_tags(_tags(sent)),
        {name.lower().removeprefix("x-"): value for name, value in headers.items()},
        object_in(metadata, "user_api_key_auth_metadata"),
        {"prompt_name": prompt.get("prompt_id"), **metadata},
    )
    parameters = object_in(sent, "model_parameters")
    everywhere = {**sent, **metadata, "user": parameters.get("user") or sent.get("user")}
    everywhere["end_user"] = sent.get("end_user")
    for field, names in _OWN_NAMES:
        if field not in told:
            told[field] = _first(everywhere, *names)
    return told


def _tags(sent: Mapping[str, Any]) -> list[str]:
    tags = sent.get("request_tags")
    if isinstance(tags, str):
        tags = _json_in(tags)
    if not isinstance(tags, list):
        return []
    return [tag for tag in tags if isinstance(tag, str) and not tag.startswith(_AUTOMATIC_TAG)]


def _error_code(sent: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """The provider's status or the class of the error; never its message."""
    error = object_in(sent, "error_information") or object_in(metadata, "error_information")
    code = error.get("error_code")
    said = str(code) if isinstance(code, int) and not isinstance(code, bool) else text_of(code)
    return said or text_of(error.get("error_class"))


def _latency(sent: Mapping[str, Any]) -> int | None:
    for name, milliseconds in (("response_time", 1000), ("request_duration_ms", 1)):
        value = sent.get(name)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return int(value * milliseconds) if 0 <= value <= _MAX_LATENCY // 1000 else None
    begun, ended = _instant(sent, "startTime"), _instant(sent, "endTime")
    if begun is None or ended is None or ended < begun:
        return None
    return min((ended - begun) // _MILLISECOND, _MAX_LATENCY)


def _instant(sent: Mapping[str, Any], name: str) -> datetime | None:
    value = sent.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        found = instant_of_seconds(value)
        if found is not None:
            return found
    elif isinstance(value, str):
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            pass
        else:
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    raise Unreadable(
        "invalid_time",
        f"{name} is {value!r:.60}; it is seconds since 1970, or like 2026-10-03 12:00:00.123456",
        name,
    )


def _object_or_text(sent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object; spend logs write it as JSON in a text."""
    value = sent.get(name)
    if isinstance(value, str):
        value = _json_in(value)
    return value if isinstance(value, Mapping) else {}


def _json_in(text: str) -> object:
    try:
        return _decode(text)
    except (*UNDECODABLE, ArithmeticError):
        return None


def _first(holder: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = text_of(holder.get(name))
        if value is not None and value != _NOBODY:
            return value
    return None
