"""What the OpenAPI schema cannot see by itself: how API keys are sent, and ingestion's own view.

`POST /api/v1/usage` decodes its body without Django REST framework; what it takes is described
here, by hand, and added when the schema is made (`SPECTACULAR_SETTINGS`).
"""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from metering.api import opsmeter_schema
from metering.domain.usage import COUNTS, MAX_TOKENS
from metering.formats.native import FIELDS

USAGE: Final = "/api/v1/usage"

_KEYS: Final[dict[str, Any]] = {
    "apiKeyBearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key as `Authorization: Bearer …`. Made by `manage.py create_api_key`"
        " with the scope ingest, gateway, finance or portal, and shown once.",
    },
    "apiKeyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key in a header of its own.",
    },
}


class _ApiKeyInSchema(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Either way of sending the key will do."""

    target_class = "metering.api.authentication.ApiKeyAuthentication"
    name = list(_KEYS)  # noqa: RUF012 - the framework's

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:  # noqa: ARG002
        return [{name: []} for name in _KEYS]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:  # noqa: ARG002
        return list(_KEYS.values())


def add_usage(
    result: dict[str, Any],
    generator: SchemaGenerator,  # noqa: ARG001 - the framework's
    request: Any,  # noqa: ARG001
    public: bool,  # noqa: ARG001, FBT001
) -> dict[str, Any]:
    """Add `POST /api/v1/usage` and Opsmeter's endpoints to the schema, where the framework calls
    this as a hook."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update({**_SCHEMAS, **opsmeter_schema.SCHEMAS})
    components.setdefault("securitySchemes", {}).update(_KEYS)
    added = {USAGE: {"post": _OPERATION}, **opsmeter_schema.PATHS}
    result["paths"] = dict(sorted({**result["paths"], **added}.items()))
    return result


def _text(about: str, *, null: bool = True, **more: Any) -> dict[str, Any]:
    return {"type": ["string", "null"] if null else "string", "description": about, **more}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_INCLUDED: Final = {
    "input_tokens": "all input tokens, cached and cache-written ones included",
    "cached_input_tokens": "of the input, read from a cache",
    "cache_write_tokens": "of the input, written to a cache, those for an hour included",
    "cache_write_1h_tokens": "of those, written for an hour",
    "output_tokens": "all output tokens, reasoning included",
    "reasoning_tokens": "of the output, reasoning",
    "audio_input_tokens": "of the input, audio",
    "audio_output_tokens": "of the output, audio",
    "image_input_tokens": "of the input, images",
    "image_output_tokens": "of the output, images",
}
assert tuple(_INCLUDED) == COUNTS, "every count of an event is described"

_COUNTS: Final = {
    _camel(name): {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": MAX_TOKENS,
        "description": about,
    }
    for name, about in _INCLUDED.items()
}

_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "One call of a model. Required are the first three and one token count, or the"
    " provider's own usage object. A report is known again by `eventId`, else by"
    " `externalRequestId` and `attempt`, else by `externalRequestId` and its content.",
    "required": ["externalRequestId", "provider", "model"],
    "properties": {
        "externalRequestId": _text("the caller's id of the logical request", null=False),
        "provider": _text("openai, anthropic, …, or one of your own", null=False),
        "model": _text("the model that was first asked for, on every attempt", null=False),
        "eventId": _text("an id of this very event"),
        "attempt": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "which attempt of the request",
        },
        "occurredAt": _text("when; the time of receipt if left out", format="date-time"),
        "modelExecuted": _text("the model that ran"),
        "providerRequestId": _text("the provider's id of the call"),
        **_COUNTS,
        "units": {
            "type": ["object", "null"],
            "additionalProperties": {"type": ["number", "string"]},
            "description": "what else was used, by unit",
            "example": {"web_search": 1},
        },
        "usage": {
            "type": ["object", "null"],
            "description": "the provider's own usage object; it wins over the counts",
        },
        "usageFormat": _text("whose usage object it is", example="openai"),
        "serviceTier": _text("standard, flex, priority, …"),
        "batch": {"type": ["boolean", "null"], "description": "called through a batch interface"},
        "region": _text("where it ran"),
        "servedFrom": _text("provider, or caller_cache for an answer of the caller's own cache"),
        "endpointTag": _text("the feature it was for", example="checkout.ai_summary"),
        "promptVersion": _text("the prompt's version"),
        "tenantId": _text("the customer it was for"),
        "userId": _text("who used it; replaced by a pseudonym before it is stored"),
        "anonId": _text("an anonymous visitor; kept as a pseudonym only"),
        "ipHash": _text("a hash of the address; tells visitors without an id apart"),
        "agentHash": _text("a hash of the client's name; with it"),
        "costCenter": _text("the cost centre that bears it, where the caller knows"),
        "status": _text("success or error"),
        "errorCode": _text("why it failed"),
        "latencyMs": {"type": ["integer", "null"], "minimum": 0, "description": "milliseconds"},
        "dataMode": _text("real, test or demo"),
        "environment": _text("prod, staging or dev"),
        "traceId": _text("the trace that the call belongs to"),
        "workflow": _text("the workflow that the call belongs to"),
        "tags": {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string"},
            "description": "anything else to tell calls apart by",
        },
        "shares": {
            "type": ["array", "null"],
            "items": _ref("UsageShare"),
            "description": "the tenants of a batched call; what they leave is the event's own"
            " tenant's",
        },
    },
    "example": {
        "externalRequestId": "req_01H",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "occurredAt": "2026-10-03T12:00:00.123Z",
        "inputTokens": 540,
        "cachedInputTokens": 300,
        "outputTokens": 180,
        "endpointTag": "checkout.ai_summary",
        "tenantId": "acme",
    },
}

assert _EVENT["properties"].keys() == FIELDS.keys(), "every field of the wire is described"

_SCHEMAS: Final[dict[str, Any]] = {
    "UsageEvent": _EVENT,
    "UsageShare": {
        "type": "object",
        "description": "One tenant's part of a shared call.",
        "required": ["tenantId"],
        "properties": {
            "tenantId": _text("whose part", null=False),
            "inputTokens": {"type": "integer", "minimum": 0, "description": "of the call's input"},
            "outputTokens": {
                "type": "integer",
                "minimum": 0,
                "description": "of the call's output",
            },
            "weight": {
                "type": ["number", "string", "null"],
                "description": "in the place of tokens, for all shares of a call: all of its"
                " tokens are divided by the weights, whole tokens by the largest remainder",
            },
        },
    },
    "UsageOutcomes": {
        "type": "object",
        "description": "What became of each event.",
        "required": ["accepted", "duplicates", "conflicts", "amended", "rejected", "outcomes"],
        "properties": {
            **{
                name: {"type": "integer", "minimum": 0, "description": about}
                for name, about in (
                    ("accepted", "stored, each once"),
                    ("duplicates", "known already, with the same content; nothing was counted"),
                    ("conflicts", "known already, with other content; nothing was changed"),
                    ("amended", "known already, and completed by what was sent now"),
                    ("rejected", "not usable; the outcome says why"),
                )
            },
            "outcomes": {
                "type": "array",
                "description": "those not simply accepted; all of them with ?outcomes=all",
                "items": {
                    "type": "object",
                    "required": ["index", "key", "outcome"],
                    "properties": {
                        "index": {"type": "integer", "description": "place in the batch, from 0"},
                        "key": _text("the event's key, where it has one"),
                        "outcome": _text("accepted, duplicate, conflict, …", null=False),
                        "reason": _text("a stable code, where it was not simply accepted"),
                        "message": _text("what is wrong and how to mend it"),
                        "place": _text("where in the body it stands"),
                    },
                },
            },
        },
        "example": {
            "accepted": 1,
            "duplicates": 0,
            "conflicts": 0,
            "amended": 0,
            "rejected": 0,
            "outcomes": [],
        },
    },
}

_REFUSED: Final = {
    "400": "the body is no usage: which part, and how to mend it",
    "401": "no API key, or one that is not known, revoked or expired",
    "403": "the key's scope is not ingest",
    "413": "more than 10,000 events or 10 MB; send smaller batches",
    "415": "a content type or encoding that is not spoken here",
    "429": "more with this key than its share is waiting; send again after `Retry-After`",
    "503": "the database is away and nothing was stored; send again after `Retry-After`",
}

_OPERATION: Final[dict[str, Any]] = {
    "operationId": "ingest_usage",
    "tags": ["ingest"],
    "summary": "Report usage",
    "description": "One event, an array, or one a line (NDJSON), also gzipped; up to 10,000 events"
    " or 10 MB. Sending again is harmless: an event counts once.",
    "security": [{name: []} for name in _KEYS],
    "parameters": [
        {
            "name": "outcomes",
            "in": "query",
            "description": "`all`: an outcome for every event, not only for those not accepted",
            "schema": {"type": "string", "enum": ["all"]},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        _ref("UsageEvent"),
                        {"type": "array", "items": _ref("UsageEvent"), "maxItems": 10_000},
                    ]
                }
            },
            "application/x-ndjson": {"schema": _ref("UsageEvent")},
        },
    },
    "responses": {
        "200": {
            "description": "what became of each event",
            "content": {"application/json": {"schema": _ref("UsageOutcomes")}},
        },
        **{
            status: {
                "description": about,
                "content": {"application/problem+json": {"schema": _ref("Problem")}},
            }
            for status, about in _REFUSED.items()
        },
    },
}
