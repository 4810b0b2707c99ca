"""The messages of the endpoints that stand in for another product's, as OpenAPI schemas: as much of
each as this application reads or answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Shape = dict[str, Any]
"""A schema, or a part of one, as OpenAPI 3 writes it."""


def ref(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(about: str, **properties: Shape) -> Shape:
    return {"type": "object", "description": about, "properties": properties}


def text(about: str) -> Shape:
    return {"type": "string", "description": about}


def _whole(about: str) -> Shape:
    return {"type": "integer", "description": about}


def _list(about: str, items: Shape) -> Shape:
    return {"type": "array", "description": about, "items": items}


PROTOBUF: Final = {"type": "string", "format": "binary", "description": "protobuf"}
AS_ITS_PRODUCT_SAYS: Final = {
    "type": "object",
    "additionalProperties": True,
    "description": "as its product says",
}

SCHEMAS: Final[Mapping[str, Shape]] = {
    "OtlpExport": _object("An export as OTLP's JSON mapping writes it: ids in hexadecimal."),
    "OtlpAnswer": _object(
        "What became of an export: empty where all of it was taken.",
        partialSuccess=_object(
            "what was not taken, which is not to be sent again",
            rejectedSpans=text("how many spans, or `rejectedDataPoints`"),
            errorMessage=text("the first of them, and why; or a warning"),
        ),
    ),
    "RpcStatus": _object(
        "`google.rpc.Status`, in the request's encoding: nothing was stored.",
        code=_whole("the HTTP status"),
        message=text("what is wrong and how to mend it"),
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
        message=text("what is wrong"),
        error=text("Langfuse's name of the error"),
        errors=_list("each of them, after 400", {"type": "string"}),
    ),
    "LangsmithRun": _object("A run of LangSmith: `id`, `trace_id`, `run_type`, `extra`, …"),
    "LangsmithBatch": _object(
        "Runs of one batch.",
        post=_list("those that are new", ref("LangsmithRun")),
        patch=_list("what there is to add to others", ref("LangsmithRun")),
    ),
    "LangsmithAnswer": _object("All was taken.", message=text("that it was")),
    "LangsmithError": _object(
        "Why it was not taken. After 422 it is a list of the runs that were not; the others were.",
        detail={"description": "what is wrong: a text, or a list of `loc`, `msg` and `type`"},
        error=text("a stable code"),
    ),
    "CloudEvent": _object(
        "A CloudEvent 1.0. In binary mode its context stands in headers (`ce-id`, `ce-source`,"
        " `ce-type`, …) and the body is its data.",
        specversion=text("1.0"),
        id=text("its id, unique within its source"),
        source=text("who tells it"),
        type=text("what it is"),
        subject=text("the customer"),
        time=text("when; the time of receipt if left out"),
        data={"type": "object", "description": "what was used"},
    ),
    "OpenmeterProblem": _object(
        "A problem (RFC 7807) as OpenMeter words it: nothing of the batch was stored.",
        type=text("about:blank"),
        title=text("the status in words"),
        status=_whole("the HTTP status"),
        detail=text("which event, what is wrong, how to mend it"),
        instance=text("this request"),
        extensions={"type": "object", "description": "the events at fault, by index"},
    ),
    "LagoEvent": _object(
        "An event of Lago.",
        transaction_id=text("its id, unique within its subscription"),
        external_subscription_id=text("the customer's subscription"),
        code=text("the billable metric"),
        timestamp={"type": ["integer", "string"], "description": "seconds since 1970"},
        properties={"type": "object", "description": "what was used: model, tokens, …"},
    ),
    "LagoEnvelope": _object("One event.", event=ref("LagoEvent")),
    "LagoBatch": _object("Up to a hundred events.", events=_list("all or none", ref("LagoEvent"))),
    "LagoError": _object(
        "An error as Lago words it: nothing of the request was stored.",
        status=_whole("the HTTP status"),
        error=text("the status in words"),
        code=text("Lago's code"),
        error_details={"type": "object", "description": "codes by member; in a batch by index"},
        message=text("in words, where the code is ours"),
    ),
}
