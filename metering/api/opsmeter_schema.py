"""What the OpenAPI schema says of Opsmeter's endpoints, which are decoded without the framework."""

from __future__ import annotations

from typing import Any, Final

from metering.domain.usage import MAX_TOKENS
from metering.formats.opsmeter import OpsmeterPayload


def _text(about: str, **more: Any) -> dict[str, Any]:
    return {"type": ["string", "null"], "description": about, **more}


def _count(about: str) -> dict[str, Any]:
    return {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": MAX_TOKENS,
        "description": about,
    }


def _whole(about: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "description": about}


_CALL: Final[dict[str, Any]] = {
    "type": "object",
    "description": "One call of a model, as Opsmeter's clients report it.",
    "required": ["externalRequestId", "provider", "model"],
    "properties": {
        "externalRequestId": {"type": "string", "description": "the caller's id of the request"},
        "provider": {"type": "string", "description": "openai, anthropic, …"},
        "model": {"type": "string", "description": "the model that was called"},
        "occurredAt": _text("when; the time of receipt if left out", format="date-time"),
        "promptVersion": _text("the prompt's version"),
        "endpointTag": _text("the feature it was for"),
        "inputTokens": _count("input tokens"),
        "outputTokens": _count("output tokens"),
        "totalTokens": _count("their sum, which they are held against"),
        "latencyMs": {"type": ["integer", "null"], "minimum": 0, "description": "milliseconds"},
        "status": _text("success or error"),
        "errorCode": _text("why it failed"),
        "userId": _text("who used it; replaced by a pseudonym before it is stored"),
        "tenantId": _text("the customer it was for"),
        "costCenter": _text("the cost centre that bears it"),
        "shares": {
            "type": ["array", "null"],
            "items": {"$ref": "#/components/schemas/UsageShare"},
            "description": "the tenants of a batched call",
        },
        "dataMode": _text("real, test or demo"),
        "environment": _text("prod, staging or dev"),
        "metadata": {
            "type": ["object", "null"],
            "description": "what the SDK knows beside: `tenantId`, `providerRequestId`",
        },
    },
}
assert tuple(_CALL["properties"]) == OpsmeterPayload.__struct_encode_fields__, "all is described"

SCHEMAS: Final[dict[str, Any]] = {
    "OpsmeterCall": _CALL,
    "OpsmeterAnswer": {
        "type": "object",
        "description": "Taken, or why not. Nothing here limits a plan, so a limit of 0 is none.",
        "properties": {
            "ok": {"type": "boolean", "description": "whether it was taken"},
            "reason": _text("a stable code where it was not"),
            "message": _text("what is wrong and how to mend it"),
            "warnings": {
                "type": "array",
                "items": {"type": "string"},
                "description": "a duplicate; tokens that do not add up",
            },
            "planTier": _text("always self_hosted"),
            "telemetryPaused": {"type": "boolean", "description": "never"},
            "providerCallsContinue": {"type": "boolean", "description": "always"},
            "isPlanLimitReached": {"type": "boolean", "description": "never"},
            "budgetWarning": {
                "type": "boolean",
                "description": "never: the workspace's status says it",
            },
            "budgetExceeded": {
                "type": "boolean",
                "description": "never: the workspace's status says it",
            },
            "planLimitRequests": _whole("0: none"),
            "freeLimitRemainingRequests": _whole("0: there is no limit"),
        },
    },
}


def _operation(
    name: str, summary: str, description: str, *, body: str | None = None
) -> dict[str, Any]:
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/OpsmeterAnswer"}}}
    any_object = {"application/json": {"schema": {"type": "object"}}}
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": ["ingest"],
        "summary": summary,
        "description": description,
        "security": [{"apiKeyBearer": []}, {"apiKeyHeader": []}],
        "responses": {
            "200": {"description": "done", "content": answer if body else any_object},
            "401": {"description": "no API key, or one that is not known", "content": answer},
            "403": {"description": "the key's scope is not ingest", "content": answer},
            "429": {
                "description": "more with this key than its share; after `Retry-After` again",
                "content": answer,
            },
            "503": {"description": "not taken for now; send it again", "content": answer},
        },
    }
    if body is not None:
        schema = {"schema": {"$ref": f"#/components/schemas/{body}"}}
        operation["requestBody"] = {"required": True, "content": {"application/json": schema}}
        operation["responses"] |= {
            "400": {"description": "the body is no call, and why", "content": answer},
            "409": {"description": "the id came with other content before", "content": answer},
        }
    return operation


PATHS: Final[dict[str, Any]] = {
    "/v1/ingest/llm-request": {
        "post": _operation(
            "opsmeter_ingest",
            "Report a call in Opsmeter's dialect",
            "For Opsmeter's clients, by another base URL. Sending again is harmless: a resend is "
            "answered like the first report, with a warning.",
            body="OpsmeterCall",
        )
    },
    "/v1/ingest/demo": {
        "post": _operation(
            "opsmeter_demo", "Make demo data", "A day of made-up calls, marked as demo data."
        )
    },
    "/v1/ingest/demo-data": {
        "delete": _operation(
            "opsmeter_demo_data",
            "Uncount demo data",
            "The workspace's demo data count no longer; their rows stay.",
        )
    },
    "/v1/ingest/test-data": {
        "delete": _operation(
            "opsmeter_test_data",
            "Uncount test data",
            "The workspace's test data count no longer; their rows stay.",
        )
    },
    "/v1/diagnostics/workspace-status": {
        "get": _operation(
            "opsmeter_workspace",
            "The workspace's usage",
            "Requests and spend of the month and of today, as Opsmeter's clients show them.",
        )
    },
}
"""Opsmeter's endpoints by path and method."""
