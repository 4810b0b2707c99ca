"""OpenTelemetry's messages of spans as far as they are looked at here.

The wire is the same; what differs is how much is made of it. Attributes and events are left as the
bytes that they came in, since most of an export's attributes repeat what others have said: bytes
are looked up, where OpenTelemetry's own classes make an object for every attribute and another for
its value.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "apportion.otlp"
_BYTES: Final = FieldDescriptorProto.TYPE_BYTES
_FIXED: Final = FieldDescriptorProto.TYPE_FIXED64
_INTEGER: Final = FieldDescriptorProto.TYPE_INT32
_TEXT: Final = FieldDescriptorProto.TYPE_STRING
_ONE: Final = FieldDescriptorProto.LABEL_OPTIONAL
_MANY: Final = FieldDescriptorProto.LABEL_REPEATED

_MESSAGES: Final = {
    "Request": (("resource_spans", 1, "ResourceSpans", _MANY),),
    "ResourceSpans": (
        ("resource", 1, "Resource", _ONE),
        ("scope_spans", 2, "ScopeSpans", _MANY),
    ),
    "Resource": (("attributes", 1, _BYTES, _MANY),),
    "ScopeSpans": (("scope", 1, "Scope", _ONE), ("spans", 2, "Span", _MANY)),
    "Scope": (("name", 1, _TEXT, _ONE), ("version", 2, _TEXT, _ONE)),
    "Span": (
        ("trace_id", 1, _BYTES, _ONE),
        ("span_id", 2, _BYTES, _ONE),
        ("parent_span_id", 4, _BYTES, _ONE),
        ("name", 5, _TEXT, _ONE),
        ("start_time_unix_nano", 7, _FIXED, _ONE),
        ("end_time_unix_nano", 8, _FIXED, _ONE),
        ("attributes", 9, _BYTES, _MANY),
        ("events", 11, _BYTES, _MANY),
        ("status", 15, "Status", _ONE),
    ),
    "Status": (("code", 3, _INTEGER, _ONE),),
}
"""By message: a field's name, its number, what it holds, and how often; all as in
`opentelemetry/proto/trace/v1/trace.proto`."""


def _request() -> Any:
    file = FileDescriptorProto(name="apportion/otlp.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _MESSAGES.items():
        file.message_type.append(
            DescriptorProto(name=message, field=[_field(*field) for field in fields])
        )
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Request"))


def _field(name: str, number: int, holds: str | int, how_often: int) -> FieldDescriptorProto:
    field = FieldDescriptorProto(name=name, number=number)
    field.label = how_often
    if isinstance(holds, str):
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{holds}"
    else:
        field.type = holds
    return field


Request: Final = _request()
"""The lean form of `ExportTraceServiceRequest`."""
