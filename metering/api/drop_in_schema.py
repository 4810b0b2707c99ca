"""What the OpenAPI schema says of the endpoints that stand in for another product's.

What their messages hold is the original's to describe; here stand the content types, the answers,
and how each dialect says what went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Shape = dict[str, Any]
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


def _ref(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(about: str, **properties: Shape) -> Shape:
    return {"type": "object", "description": about, "properties": properties}


def _text(about: str) -> Shape:
    return {"type": "string", "description": about}


def _whole(about: str) -> Shape:
    return {"type": "integer", "description": about}


def _list(about: str, items: Shape) -> Shape:
    return {"type": "array", "description": about, "items": items}


_BINARY: Final = {"type": "string", "format": "binary", "description": "protobuf"}
_ANY: Final = {"type": "object", "additionalProperties": True, "description": "as its product says"}

SCHEMAS: Final[Mapping[str, Shape]] = {
    "OtlpExport": _object("An export as OTLP's JSON mapping writes it: ids in hexadecimal."),
    "OtlpAnswer": _object(
        "What became of an export: empty where all of it was taken.",
        partialSuccess=_object(
            "what was not taken, which is not to be sent again",
            rejectedSpans=_text("how many spans, or `rejectedDataPoints`"),
            errorMessage=_text("the first of them, and why; or a warning"),
        ),
    ),
    "RpcStatus": _object(
        "`google.rpc.Status`, in the request's encoding: nothing was stored.",
        code=_whole("the HTTP status"),
        message=_text("what is wrong and how to mend it"),
    ),
    "LitellmRecord": _object("A `StandardLoggingPayload` of LiteLLM's `generic_api` callback."),
    "LangfuseBatch": _object(
        "Events of Langfuse's ingestion API.",
        batch=_list("what is told", _object("One event: `id`, `type`, `timestamp`, `body`.")),
    ),
    "LangfuseAnswer": _object(
        "What became of each event, under its own id.",
        successes=_list("what was taken", _object("`id` and `status`")),
        errors=_list("what was not", _object("`id`, `status`, `message` and `error`")),
    ),
    "LangfuseError": _object(
        "Why nothing was taken.",
        message=_text("what is wrong"),
        error=_text("Langfuse's name of the error"),
        errors=_list("each of them, after 400", {"type": "string"}),
    ),
    "LangsmithRun": _object("A run of LangSmith: `id`, `trace_id`, `run_type`, `extra`, …"),
    "LangsmithBatch": _object(
        "Runs of one batch.",
        post=_list("those that are new", _ref("LangsmithRun")),
        patch=_list("what there is to add to others", _ref("LangsmithRun")),
    ),
    "LangsmithAnswer": _object("All was taken.", message=_text("that it was")),
    "LangsmithError": _object(
        "Why it was not taken. After 422 it is a list of the runs that were not; the others were.",
        detail={"description": "what is wrong: a text, or a list of `loc`, `msg` and `type`"},
        error=_text("a stable code"),
    ),
    "CloudEvent": _object(
        "A CloudEvent 1.0. In binary mode its context stands in headers (`ce-id`, `ce-source`,"
        " `ce-type`, …) and the body is its data.",
        specversion=_text("1.0"),
        id=_text("its id, unique within its source"),
        source=_text("who tells it"),
        type=_text("what it is"),
        subject=_text("the customer"),
        time=_text("when; the time of receipt if left out"),
        data={"type": "object", "description": "what was used"},
    ),
    "OpenmeterProblem": _object(
        "A problem (RFC 7807) as OpenMeter words it: nothing of the batch was stored.",
        type=_text("about:blank"),
        title=_text("the status in words"),
        status=_whole("the HTTP status"),
        detail=_text("which event, what is wrong, how to mend it"),
        instance=_text("this request"),
        extensions={"type": "object", "description": "the events at fault, by index"},
    ),
    "LagoEvent": _object(
        "An event of Lago.",
        transaction_id=_text("its id, unique within its subscription"),
        external_subscription_id=_text("the customer's subscription"),
        code=_text("the billable metric"),
        timestamp={"type": ["integer", "string"], "description": "seconds since 1970"},
        properties={"type": "object", "description": "what was used: model, tokens, …"},
    ),
    "LagoEnvelope": _object("One event.", event=_ref("LagoEvent")),
    "LagoBatch": _object("Up to a hundred events.", events=_list("all or none", _ref("LagoEvent"))),
    "LagoError": _object(
        "An error as Lago words it: nothing of the request was stored.",
        status=_whole("the HTTP status"),
        error=_text("the status in words"),
        code=_text("Lago's code"),
        error_details={"type": "object", "description": "codes by member; in a batch by index"},
        message=_text("in words, where the code is ours"),
    ),
}


class _Dialect(NamedTuple):
    """How a product says what went wrong: the content of its refusals, and which there are."""

    refusal: Content
    refused: Mapping[str, str]


_NO_KEY: Final = "no API key, or one that is not known, revoked or expired"
_WRONG_KEY: Final = "the key's scope is not ingest"
_AWAY: Final = "not taken for now; send again after `Retry-After`: what was stored counts once"
_ALL: Final = {"401": _NO_KEY, "403": _WRONG_KEY, "503": _AWAY}
_LARGE: Final = {"413": "more than may come at once; send smaller batches"}
_KIND: Final = {"415": "a content type or encoding that is not spoken here"}


def _json(name: str) -> Content:
    return {"application/json": _ref(name)}


_STATUS: Final = {"application/x-protobuf": _BINARY, **_json("RpcStatus")}
_OTLP: Final = _Dialect(_STATUS, {"400": "it cannot be decoded", **_ALL, **_LARGE, **_KIND})
_LANGFUSE_TELEMETRY: Final = _Dialect(
    {"text/plain": _text("what is wrong")},
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
    {"application/problem+json": _ref("OpenmeterProblem")},
    {"400": "one event cannot be used, so none was stored; or another type", **_ALL, **_LARGE},
)
_LAGO: Final = _Dialect(
    _json("LagoError"),
    {"400": "it is no event", **_ALL, **_LARGE, "422": "errors by event, so none was stored"},
)
_NATIVE: Final = _Dialect(
    {"application/problem+json": _ref("Problem")},
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
    return {"type": "array", "items": _ref(name)}


_EXPORTED: Final = {"application/x-protobuf": _BINARY, **_json("OtlpExport")}
_TAKEN: Final = (
    "200",
    "taken, but for what is named",
    {"application/x-protobuf": _BINARY, **_json("OtlpAnswer")},
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
            ("200", "the project", {"application/json": _ANY}),
        )
    },
    "/langfuse/api/public/health": {
        "get": _operation(
            "langfuse_health",
            "Whether the API is there",
            "Says nothing of whether it can store; `/readyz` does.",
            _LANGFUSE,
            ("200", "it is", {"application/json": _ANY}),
        )
    },
    "/langsmith/info": {
        "get": _operation(
            "langsmith_info",
            "What the API takes",
            "By which LangSmith's SDKs choose how to send runs.",
            _LANGSMITH,
            ("200", "sizes and packings", {"application/json": _ANY}),
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
            {"multipart/form-data": _ANY},
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
                "application/json": {"oneOf": [_several("LitellmRecord"), _ref("LitellmRecord")]},
                "application/x-ndjson": _ref("LitellmRecord"),
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
                "application/cloudevents+json": _ref("CloudEvent"),
                "application/cloudevents-batch+json": _several("CloudEvent"),
                "application/json": {"oneOf": [_ref("CloudEvent"), _several("CloudEvent")]},
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
