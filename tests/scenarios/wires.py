"""Every way by which usage comes in, each with a request full of what must never be kept.

A new format adds its request to `WIRES`. Wherever its clients put what people wrote stands `SAID`;
wherever they put who somebody is stands `WHO`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tests.metering.formats.otlp.requests import a_span, as_json, as_protobuf, export

SAID: Final = "SaidInAPrompt7f3a"
WHO: Final = "jane.roe.7f3a@example.com"
AT: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

_TEXT: Final = f"Dear assistant, {SAID}, please"
_MESSAGES: Final[list[Any]] = [
    {"role": "user", "content": _TEXT},
    {"role": "assistant", "content": [{"type": "text", "text": _TEXT}]},
]
_USAGE: Final = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
_NOISY_USAGE: Final = {
    **_USAGE,
    "note": _TEXT,
    "messages": _MESSAGES,
    "queue_time": 0.0625,
    _TEXT: 1,
}
_ERROR: Final = {"error_message": _TEXT, "traceback": _TEXT, "error_code": "500"}


@dataclass(frozen=True)
class Wire:
    """One request: where it goes, what it says, and whether an event comes of it (`stores`); if
    not, it is refused, and the refusal names nobody either."""

    name: str
    path: str
    body: bytes
    content_type: str = "application/json"
    basic: bool = False
    stores: bool = True


def _wire(name: str, path: str, body: Any, **more: Any) -> Wire:
    return Wire(name, path, body if isinstance(body, bytes) else json.dumps(body).encode(), **more)


def _at(seconds: float = 0) -> str:
    return (AT + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def native(**different: Any) -> dict[str, Any]:
    return {
        "externalRequestId": "req-1",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "occurredAt": _at(),
        "usage": _NOISY_USAGE,
        "userId": WHO,
        **different,
    }


def _opsmeter(**different: Any) -> dict[str, Any]:
    return {
        "externalRequestId": "ext_1",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "inputTokens": 1000,
        "outputTokens": 200,
        "totalTokens": 1200,
        "userId": WHO,
        "prompt": _TEXT,
        "metadata": {"tenantId": "acme", "messages": _MESSAGES},
        **different,
    }


def _litellm(**different: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "trace_id": "trace-1",
        "call_type": "acompletion",
        "status": "success",
        "custom_llm_provider": "openai",
        "startTime": AT.timestamp(),
        "endTime": AT.timestamp() + 1,
        "model": "gpt-4o-mini",
        "end_user": WHO,
        "messages": _MESSAGES,
        "response": {"model": "gpt-4o-mini", "choices": [{"message": _MESSAGES[1]}]},
        "error_str": _TEXT,
        "error_information": _ERROR,
        "requester_ip_address": WHO,
        "model_parameters": {"user": WHO, "stop": _TEXT},
        "metadata": {
            "usage_object": _NOISY_USAGE,
            "user_api_key_user_id": WHO,
            "user_api_key_user_email": WHO,
            "user_api_key_end_user_id": WHO,
            "requester_metadata": {"note": _TEXT, "user_id": WHO},
            "spend_logs_metadata": {"question": _TEXT},
            "requester_custom_headers": {"x-question": _TEXT, "x-user-id": WHO},
            "prompt_management_metadata": {"prompt_id": "p", "prompt_variables": {"q": _TEXT}},
            "mcp_tool_call_metadata": {"arguments": {"q": _TEXT}},
        },
        **different,
    }


def _cloud_event(data: dict[str, Any], **different: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "chat",
        "type": "prompt",
        "subject": "acme",
        "time": _at(),
        "question": _TEXT,
        "userid": WHO,
        "data": {"prompt": _TEXT, "messages": _MESSAGES, "user": WHO, "user_id": WHO, **data},
        **different,
    }


def _lago(**different: Any) -> dict[str, Any]:
    return {
        "transaction_id": "txn-1",
        "external_subscription_id": "acme",
        "code": "tokens",
        "timestamp": int(AT.timestamp()),
        "properties": {
            "model": "gpt-4o-mini",
            "usage": _NOISY_USAGE,
            "prompt": _TEXT,
            "user_id": WHO,
            "customer": "acme",
        },
        **different,
    }


def _otlp(**different: Any) -> dict[str, Any]:
    nanoseconds = int(AT.timestamp()) * 1_000_000_000
    attributes: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 200,
        "tenant.id": "acme",
        "user.id": WHO,
        "enduser.id": WHO,
        "gen_ai.prompt": _TEXT,
        "gen_ai.completion": _TEXT,
        "gen_ai.input.messages": json.dumps(_MESSAGES),
        "gen_ai.prompt.0.content": _TEXT,
        "gen_ai.completion.0.content": _TEXT,
        "llm.input_messages.0.message.content": _TEXT,
        "input.value": _TEXT,
        "output.value": _TEXT,
        "ai.prompt.messages": json.dumps(_MESSAGES),
        "traceloop.entity.input": _TEXT,
        "langfuse.observation.input": _TEXT,
        "langfuse.user.id": WHO,
        **different,
    }
    return export(
        a_span(
            attributes,
            name=_TEXT,
            startTimeUnixNano=str(nanoseconds - 800_000_000),
            endTimeUnixNano=str(nanoseconds),
            status={"code": 2, "message": _TEXT},
            events=[
                {
                    "timeUnixNano": str(nanoseconds),
                    "name": "exception",
                    "attributes": [
                        {"key": "exception.message", "value": {"stringValue": _TEXT}},
                        {"key": "gen_ai.event.content", "value": {"stringValue": _TEXT}},
                    ],
                }
            ],
        )
    )


def _langfuse(**different: Any) -> dict[str, Any]:
    trace = {"id": "tr-1", "name": "chat", "userId": WHO, "input": _TEXT, "output": _MESSAGES}
    generation = {
        "id": "gen-1",
        "traceId": "tr-1",
        "name": "answer",
        "startTime": _at(),
        "endTime": _at(1),
        "model": "gpt-4o-mini",
        "usageDetails": {"input": 1000, "output": 200, "total": 1200, "queue_time": 0.0625},
        "input": _MESSAGES,
        "output": _TEXT,
        "statusMessage": _TEXT,
        "metadata": {"question": _TEXT, "user_id": WHO, "team": 0.0625},
        "modelParameters": {"stop": _TEXT},
        **different,
    }
    return {
        "batch": [
            {"id": "1", "timestamp": _at(), "type": "trace-create", "body": trace},
            {"id": "2", "timestamp": _at(1), "type": "generation-create", "body": generation},
            {
                "id": "3",
                "timestamp": _at(2),
                "type": "score-create",
                "body": {"traceId": "tr-1", "name": "good", "value": 1, "comment": _TEXT},
            },
        ],
        "metadata": {"sdk_name": "python", "public_key": "pk-lf-1"},
    }


def _langsmith(**different: Any) -> dict[str, Any]:
    id = str(UUID(int=7))
    run = {
        "id": id,
        "trace_id": id,
        "dotted_order": f"{AT:%Y%m%dT%H%M%S%f}Z{id}",
        "name": "ChatOpenAI",
        "run_type": "llm",
        "session_name": "default",
        "start_time": _at(),
        "end_time": _at(1),
        "error": _TEXT,
        "inputs": {"messages": _MESSAGES},
        "outputs": {
            "content": _TEXT,
            "usage_metadata": {
                "input_tokens": 1000,
                "output_tokens": 200,
                "total_tokens": 1200,
                "total_cost": 0.0625,
                "output_token_details": {"tempo": 0.0625},
            },
        },
        "events": [{"name": "new_token", "kwargs": {"token": _TEXT}}],
        "serialized": {"kwargs": {"prompt": _TEXT}},
        "extra": {
            "metadata": {
                "ls_provider": "openai",
                "ls_model_name": "gpt-4o-mini",
                "user_id": WHO,
                "question": _TEXT,
                "team": 0.0625,
            },
            "invocation_params": {"stop": _TEXT},
        },
        **different,
    }
    return {"post": [run], "patch": []}


def _form(boundary: str) -> bytes:
    """The run as LangSmith's SDK posts it by itself: its large members apart."""
    (run,) = _langsmith()["post"]
    apart = {name: run.pop(name) for name in ("inputs", "outputs", "events", "extra")}
    parts = {f"post.{run['id']}": run}
    parts |= {f"post.{run['id']}.{name}": value for name, value in apart.items()}
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps(value)}\r\n"
        for name, value in parts.items()
    ]
    return "".join([*lines, f"--{boundary}--\r\n"]).encode()


def _metrics() -> dict[str, Any]:
    nanoseconds = str(int(AT.timestamp()) * 1_000_000_000)
    attributes = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
    attributes |= {"gen_ai.token.type": "input", "user.id": WHO, "gen_ai.prompt": _TEXT}
    point = {
        "startTimeUnixNano": nanoseconds,
        "timeUnixNano": nanoseconds,
        "count": "1",
        "sum": 1000,
        "attributes": [
            {"key": name, "value": {"stringValue": value}} for name, value in attributes.items()
        ],
    }
    metric = {
        "name": "gen_ai.client.token.usage",
        "unit": "{token}",
        "histogram": {"aggregationTemporality": 2, "dataPoints": [point]},
    }
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


_CLOUD: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
_PROPERTIES: Final[dict[str, Any]] = {"model": "gpt-4o-mini", "usage": _NOISY_USAGE}
_OLD: Final = "2020-01-01T00:00:00Z"
_TELEMETRY: Final = "/langfuse/api/public/otel/v1/traces"

WIRES: Final = (
    _wire("native", "/api/v1/usage", native()),
    _wire("native, too late", "/api/v1/usage", native(occurredAt=_OLD), stores=False),
    _wire("native, refused", "/api/v1/usage", native(userId=WHO + "\u200b"), stores=False),
    _wire("native, too long", "/api/v1/usage", native(userId=WHO * 20), stores=False),
    _wire("native, unknown", "/api/v1/usage", native(prompt=_TEXT), stores=False),
    _wire("native, anonymous", "/api/v1/usage", native(userId=None, anonId=WHO, ipHash=WHO)),
    _wire("opsmeter", "/v1/ingest/llm-request", _opsmeter()),
    _wire("opsmeter, refused", "/v1/ingest/llm-request", _opsmeter(userId=[WHO]), stores=False),
    _wire("litellm", "/integrations/litellm", [_litellm()]),
    _wire("litellm, failed", "/integrations/litellm", _litellm(status="failure")),
    _wire("litellm, refused", "/integrations/litellm", _litellm(model=""), stores=False),
    _wire("litellm, too late", "/integrations/litellm", _litellm(startTime=_OLD), stores=False),
    _wire(
        "openmeter",
        "/openmeter/api/v1/events",
        _cloud_event(_PROPERTIES),
        content_type=_CLOUD,
    ),
    _wire(
        "openmeter, refused",
        "/openmeter/api/v1/events",
        [_cloud_event({"model": "gpt-4o-mini"})],
        content_type=_BATCH,
        stores=False,
    ),
    _wire("lago", "/lago/api/v1/events", {"event": _lago()}),
    _wire("lago, batch", "/lago/api/v1/events/batch", {"events": [_lago()]}),
    _wire("lago, refused", "/lago/api/v1/events", {"event": _lago(code="")}, stores=False),
    _wire("otlp, JSON", "/v1/traces", as_json(_otlp())),
    _wire(
        "otlp, protobuf", "/v1/traces", as_protobuf(_otlp()), content_type="application/x-protobuf"
    ),
    _wire(
        "otlp, refused",
        "/v1/traces",
        as_json(_otlp(**{"gen_ai.request.model": "m" * 300})),
        stores=False,
    ),
    _wire("otlp of langfuse", _TELEMETRY, as_json(_otlp()), basic=True),
    _wire("langfuse", "/langfuse/api/public/ingestion", _langfuse(), basic=True),
    _wire(
        "langfuse, no usage",
        "/langfuse/api/public/ingestion",
        _langfuse(usageDetails=None),
        basic=True,
    ),
    _wire(
        "langfuse, refused",
        "/langfuse/api/public/ingestion",
        _langfuse(model=7),
        basic=True,
        stores=False,
    ),
    _wire("langsmith", "/langsmith/runs/batch", _langsmith()),
    _wire("langsmith, refused", "/langsmith/runs/batch", _langsmith(start_time=7), stores=False),
    _wire("langsmith, one", "/langsmith/runs", _langsmith()["post"][0]),
    _wire(
        "langsmith, a form",
        "/langsmith/runs/multipart",
        _form("7f3a"),
        content_type="multipart/form-data; boundary=7f3a",
    ),
)
"""Those that bring events; what comes beside them is in `BESIDE`."""

METRICS: Final = _wire("metrics", "/v1/metrics", _metrics())
OUTCOMES: Final = _wire(
    "outcomes", "/api/v1/outcomes", _cloud_event({}, type="ticket.resolved"), content_type=_CLOUD
)
BESIDE: Final = {METRICS: "metric_reading", OUTCOMES: "business_outcome"}
"""What is sent beside events, and the table that keeps it."""

Send = Callable[[Wire], Any]


def headers(wire: Wire, secret: str) -> dict[str, str]:
    """How the wire's clients send a key."""
    if wire.basic:
        return {"Authorization": "Basic " + b64encode(f"pk-lf-1:{secret}".encode()).decode()}
    if wire.path.startswith(("/v1/ingest", "/langsmith")):
        return {"X_API_Key": secret}
    return {"Authorization": f"Bearer {secret}"}
