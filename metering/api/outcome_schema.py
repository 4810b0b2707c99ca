"""`POST /api/v1/outcomes` in the OpenAPI schema, described by hand as `POST /api/v1/usage` is."""

from __future__ import annotations

from typing import Any, Final

from metering.api.schema import USAGE
from metering.formats.business_outcomes import Sent

OUTCOMES: Final = "/api/v1/outcomes"

_MEANINGS: Final = {
    "outcomeId": "the sender's id of it: an outcome counts once in its source",
    "outcome": "what came about, in the sender's word, like ticket_resolved",
    "quantity": "how many at once; 1 if left out",
    "occurredAt": "when; the time of receipt if left out",
    "tenantId": "the customer it was for",
    "endpointTag": "the feature that it came of",
    "promptVersion": "the prompt's version",
    "workflow": "the workflow that it came of",
    "externalRequestId": "the request that it came of",
    "traceId": "the trace that it came of",
    "costCenter": "the cost centre that bears the calls, where the caller knows",
    "dataMode": "real, test or demo",
    "environment": "prod, staging or dev",
    "tags": "anything else to tell outcomes apart by",
}
assert tuple(_MEANINGS) == Sent.__struct_encode_fields__, "every field of the wire is described"

_TYPES: Final[dict[str, dict[str, Any]]] = {
    "quantity": {"type": ["number", "string"]},
    "occurredAt": {"type": ["string", "null"], "format": "date-time"},
    "tags": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    "outcomeId": {"type": "string"},
    "outcome": {"type": "string"},
}
_OUTCOME: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What calls of models were made for, once it came about.",
    "required": ["outcomeId", "outcome"],
    "properties": {
        name: {**_TYPES.get(name, {"type": ["string", "null"]}), "description": meaning}
        for name, meaning in _MEANINGS.items()
    },
    "example": {
        "outcomeId": "ticket-4711",
        "outcome": "ticket_resolved",
        "occurredAt": "2026-10-03T12:00:00Z",
        "tenantId": "acme",
        "endpointTag": "support.answer",
    },
}
_CLOUD_EVENT: Final = {
    "type": "object",
    "description": "A CloudEvent 1.0: its type is the outcome, its source and id are its identity,"
    " its subject is the tenant unless the data names one.",
}


def add_outcomes(
    result: dict[str, Any],
    generator: object,  # noqa: ARG001 - the framework's
    request: object,  # noqa: ARG001
    public: bool,  # noqa: ARG001, FBT001
) -> dict[str, Any]:
    """Add the operation to the schema, after that of usage, whose answer and refusals it shares."""
    usage = result["paths"][USAGE]["post"]
    one = {"$ref": "#/components/schemas/BusinessOutcome"}
    several = {"oneOf": [one, {"type": "array", "items": one, "maxItems": 10_000}]}
    result["components"]["schemas"]["BusinessOutcome"] = _OUTCOME
    operation = {
        **usage,
        "operationId": "report_outcomes",
        "summary": "Report business outcomes",
        "description": "What calls were made for, once it came about: a ticket resolved, an email"
        " sent. One, an array, or one a line; also as CloudEvents. Sending again is harmless.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": several},
                "application/x-ndjson": {"schema": one},
                "application/cloudevents+json": {"schema": _CLOUD_EVENT},
                "application/cloudevents-batch+json": {
                    "schema": {"type": "array", "items": _CLOUD_EVENT}
                },
            },
        },
    }
    result["paths"] = dict(sorted({**result["paths"], OUTCOMES: {"post": operation}}.items()))
    return result
