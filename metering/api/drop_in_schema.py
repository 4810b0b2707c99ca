"""What the OpenAPI schema says of the endpoints that stand in for another product's.

What their messages hold is the original's to describe; here stand the content types, the answers,
and how each dialect says what went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from metering.api.drop_in_messages import (
    AS_ITS_PRODUCT_SAYS,
    PROTOBUF,
    SCHEMAS,
    Shape,
    ref,
    text,
)

Content = Mapping[str, Shape]

KEYLESS: Final = frozenset({"langfuse_health", "langsmith_info"})
"""Operations that need no key: their clients ask before they send one."""
_KEYS: Final[tuple[dict[str, list[str]], ...]] = (
    {"apiKeyBearer": []},
    {"apiKeyHeader": []},
    {"apiKeyBasic": []},
)
_BASIC: Final = {
    "type": "http",
    "scheme": "basic",
    "description": "The same key as the password; the user's name is not looked at. Langfuse's"
    " secret key is an API key, its public key anything.",
}


class _Dialect(NamedTuple):
    """How a product says what went wrong: the content of its refusals, and which there are."""

    refusal: Content
    refused: Mapping[str, str]


_NO_KEY: Final = "no API key, or one that is not known, revoked or expired"
_WRONG_KEY: Final = "the key's scope is not ingest"
_AWAY: Final = "not taken for now; send again after `Retry-After`: what was stored counts once"
_LESS: Final = "more with this key than its share is waiting; send again after `Retry-After`"
_ALL: Final = {"401": _NO_KEY, "403": _WRONG_KEY, "429": _LESS, "503": _AWAY}
_LARGE: Final = {"413": "more than may come at once; send smaller batches"}
_KIND: Final = {"415": "a content type or encoding that is not spoken here"}


def _json(name: str) -> Content:
    return {"application/json": ref(name)}


_STATUS: Final = {"application/x-protobuf": PROTOBUF, **_json("RpcStatus")}
_OTLP: Final = _Dialect(_STATUS, {"400": "it cannot be decoded", **_ALL, **_LARGE, **_KIND})
_LANGFUSE_TELEMETRY: Final = _Dialect(
    {"text/plain": text("what is wrong")},
    {"400": "it cannot be decoded, has a span without an id, or another type", **_ALL, **_LARGE},
)
_LANGFUSE: Final = _Dialect(
    _json("LangfuseError"), {"400": "it is no batch", **_ALL, **_LARGE, **_KIND}
)
_LANGSMITH: Final = _Dialect(
    _json("LangsmithError"),
    {**_ALL, **_LARGE, **_KIND, "422": "some of the runs were not taken, and which"},
)
_OPENMETER: Final = _Dialect(
    {"application/problem+json": ref("OpenmeterProblem")},
    {"400": "one event cannot be used, so none was stored; or another type", **_ALL, **_LARGE},
)
_LAGO: Final = _Dialect(
    _json("LagoError"),
    {"400": "it is no event", **_ALL, **_LARGE, "422": "errors by event, so none was stored"},
)
_NATIVE: Final = _Dialect(
    {"application/problem+json": ref("Problem")},
    {"400": "the body is no JSON", **_ALL, **_LARGE, **_KIND},
)


def _operation(
    name: str,
    summary: str,
    description: str,
    dialect: _Dialect,
    answer: tuple[str, str, Content],
    takes: Content | None = None,
    parameters: list[Shape] | None = None,
) -> Shape:
    """`answer` is the status of success, what it means, and its content."""
    status, meaning, content = answer
    keyless = name in KEYLESS
    refused = {} if keyless else dialect.refused
    operation: Shape = {
        "operationId": name,
        "tags": ["ingest"],
        "summary": summary,
        "description": description,
        "security": [] if keyless else list(_KEYS),
        "responses": {
            status: {"description": meaning, **_content(content)},
            **{
                each: {"description": about, **_content(dialect.refusal)}
                for each, about in refused.items()
            },
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if takes is not None:
        operation["requestBody"] = {"required": True, **_content(takes)}
    return operation


def _content(content: Content) -> Shape:
    return (
        {"content": {kind: {"schema": shape} for kind, shape in content.items()}} if content else {}
    )


def _several(name: str) -> Shape:
    return {"type": "array", "items": ref(name)}


_EXPORTED: Final = {"application/x-protobuf": PROTOBUF, **_json("OtlpExport")}
_TAKEN: Final = (
    "200",
    "taken, but for what is named",
    {"application/x-protobuf": PROTOBUF, **_json("OtlpAnswer")},
)
_IN_BINARY: Final = (
    " An event in HTTP's binary mode (headers `ce-…`) is taken with the content type of its data."
)
_RUN_TAKEN: Final = ("202", "taken", _json("LangsmithAnswer"))

PATHS: Final[Mapping[str, Mapping[str, Shape]]] = {
    "/v1/traces": {
        "post": _operation(
            "otlp_traces",
            "Export spans by OpenTelemetry",
            "OTLP over HTTP, protobuf or JSON, also packed: calls of models among the spans, by"
            " the GenAI conventions and those of the tracing libraries. Up to 10,000 spans.",
            _OTLP,
            _TAKEN,
            _EXPORTED,
        )
    },
    "/v1/metrics": {
        "post": _operation(
            "otlp_metrics",
            "Export metrics by OpenTelemetry",
            "Token and cost metrics are kept to be compared with events; none is counted.",
            _OTLP,
            _TAKEN,
            _EXPORTED,
        )
    },
    "/langfuse/api/public/otel/v1/traces": {
        "post": _operation(
            "langfuse_otlp_traces",
            "Export spans by Langfuse's SDKs",
            "As `/v1/traces`, in the words of Langfuse's server: one span without an id refuses"
            " all.",
            _LANGFUSE_TELEMETRY,
            ("200", "taken, but for what is named", _json("OtlpAnswer")),
            _EXPORTED,
        )
    },
    "/langfuse/api/public/ingestion": {
        "post": _operation(
            "langfuse_ingestion",
            "Report a batch of Langfuse's events",
            "Traces, generations and what updates them; a generation is a call. Each event is"
            " answered under its own id.",
            _LANGFUSE,
            ("207", "what became of each event", _json("LangfuseAnswer")),
            _json("LangfuseBatch"),
        )
    },
    "/langfuse/api/public/projects": {
        "get": _operation(
            "langfuse_projects",
            "What a key belongs to",
            "What Langfuse's SDKs ask to check a key: its source, as a project.",
            _LANGFUSE,
            ("200", "the project", {"application/json": AS_ITS_PRODUCT_SAYS}),
        )
    },
    "/langfuse/api/public/health": {
        "get": _operation(
            "langfuse_health",
            "Whether the API is there",
            "Says nothing of whether it can store; `/readyz` does.",
            _LANGFUSE,
            ("200", "it is", {"application/json": AS_ITS_PRODUCT_SAYS}),
        )
    },
    "/langsmith/info": {
        "get": _operation(
            "langsmith_info",
            "What the API takes",
            "By which LangSmith's SDKs choose how to send runs.",
            _LANGSMITH,
            ("200", "sizes and packings", {"application/json": AS_ITS_PRODUCT_SAYS}),
        )
    },
    "/langsmith/runs": {
        "post": _operation(
            "langsmith_runs",
            "Report a run",
            "One run that has begun; a run of type `llm` or `embedding` is a call.",
            _LANGSMITH,
            _RUN_TAKEN,
            _json("LangsmithRun"),
        )
    },
    "/langsmith/runs/{run_id}": {
        "patch": _operation(
            "langsmith_run",
            "Add to a run",
            "What there is to add to a run; it may come before the run itself.",
            _LANGSMITH,
            _RUN_TAKEN,
            _json("LangsmithRun"),
            [
                {
                    "name": "run_id",
                    "in": "path",
                    "required": True,
                    "description": "the run's id",
                    "schema": {"type": "string", "format": "uuid"},
                }
            ],
        )
    },
    "/langsmith/runs/batch": {
        "post": _operation(
            "langsmith_batch",
            "Report a batch of runs",
            "New runs and updates of others, in any order.",
            _LANGSMITH,
            _RUN_TAKEN,
            _json("LangsmithBatch"),
        )
    },
    "/langsmith/runs/multipart": {
        "post": _operation(
            "langsmith_multipart",
            "Report a batch of runs as a form",
            "Runs with their large members apart, as the SDKs send them; also packed by zstd.",
            _LANGSMITH,
            _RUN_TAKEN,
            {"multipart/form-data": AS_ITS_PRODUCT_SAYS},
        )
    },
    "/integrations/litellm": {
        "post": _operation(
            "litellm",
            "Report LiteLLM's calls",
            "What LiteLLM's `generic_api` callback posts: an array, one object, or one a line.",
            _NATIVE,
            ("200", "what became of each call", _json("UsageOutcomes")),
            {
                "application/json": {"oneOf": [_several("LitellmRecord"), ref("LitellmRecord")]},
                "application/x-ndjson": ref("LitellmRecord"),
            },
        )
    },
    "/openmeter/api/v1/events": {
        "post": _operation(
            "openmeter_events",
            "Report OpenMeter's events",
            "CloudEvents, stored as a whole or not at all; what was sent before is no obstacle."
            + _IN_BINARY,
            _OPENMETER,
            ("204", "all of it is stored, or was before", {}),
            {
                "application/cloudevents+json": ref("CloudEvent"),
                "application/cloudevents-batch+json": _several("CloudEvent"),
                "application/json": {"oneOf": [ref("CloudEvent"), _several("CloudEvent")]},
            },
        )
    },
    "/lago/api/v1/events": {
        "post": _operation(
            "lago_event",
            "Report an event of Lago's",
            "Answered with the event and its id here; a `transaction_id` that was taken before is"
            " refused as `value_already_exist`.",
            _LAGO,
            ("200", "the event", _json("LagoEnvelope")),
            _json("LagoEnvelope"),
        )
    },
    "/lago/api/v1/events/batch": {
        "post": _operation(
            "lago_events",
            "Report a batch of Lago's events",
            "Up to a hundred, stored as a whole or not at all; errors stand under the index.",
            _LAGO,
            ("200", "the events", _json("LagoBatch")),
            _json("LagoBatch"),
        )
    },
}
"""The endpoints by path and method."""


def add_drop_ins(
    result: dict[str, Any],
    generator: object,  # noqa: ARG001 - the framework's
    request: object,  # noqa: ARG001
    public: bool,  # noqa: ARG001, FBT001
) -> dict[str, Any]:
    """Add the operations to the schema, where the framework calls this as a hook."""
    result["components"]["schemas"].update(SCHEMAS)
    result["components"]["securitySchemes"]["apiKeyBasic"] = _BASIC
    result["paths"] = dict(sorted({**result["paths"], **PATHS}.items()))
    return result
