"""Read-only REST: parameters that are checked by name, answers that are described, private caches.

A view names the serializer of its parameters and of its answer; the OpenAPI schema is made of the
same two, so what is described is what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from django.utils.cache import patch_vary_headers
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
)
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.api import schema  # noqa: F401 - it tells the schema how keys are sent
from metering.api.problems import CONTENT_TYPE
from metering.api.values import Text, Whole
from metering.domain.periods import InvalidPeriod, Month

EARLIEST: Final = date(2000, 1, 1)
LATEST: Final = date(2200, 1, 1)
"""Days outside are a slip of the finger, not a question."""


_Get = TypeVar("_Get", bound=Callable[..., Response])


class ProblemSerializer(serializers.Serializer[Any]):
    """What went wrong, as RFC 9457 says it."""

    type = Text(
        "what kind of problem, stable: programs branch on it", "urn:apportion:problem:not-found"
    )
    title = Text("the kind of problem, for people", "Not Found")
    status = Whole("the HTTP status again", 404)
    detail = Text("what went wrong this time, and how to mend it", "there is no invoice 7")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="for parameters that are not valid: what is wrong with each, by its name",
    )


class ReadingView(APIView):
    """A view that only reads. Its answers are for who asked alone, and asked for anew each time."""

    http_method_names: ClassVar[list[str]] = ["get", "head"]  # type: ignore[misc]
    parameters: ClassVar[type[serializers.Serializer[Any]] | None] = None

    def asked(self, request: Request) -> dict[str, Any]:
        """The query's parameters, checked. Raises `ValidationError` naming each that is wrong, is
        not known here, or was given twice."""
        known = () if self.parameters is None else tuple(self.parameters().fields)
        wrong = {
            name: [
                f"there is no such parameter; there are {', '.join(known)}"
                if known
                else "there is no such parameter; this takes none"
            ]
            for name in request.query_params
            if name not in known
        } | {
            name: ["given more than once; give it once"]
            for name in known
            if len(request.query_params.getlist(name)) > 1
        }
        if wrong:
            raise ValidationError(wrong)
        if self.parameters is None:
            return {}
        checked = self.parameters(data=request.query_params.dict())
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Cache-Control"] = "private, no-cache"
        patch_vary_headers(final, ("Authorization", "X-API-Key", "Cookie"))
        return final


def answer(serializer: type[serializers.Serializer[Any]], value: Any) -> Response:
    """The value as its serializer writes it."""
    return Response(serializer(value).data)


class _Example(NamedTuple):
    """A problem that a status stands for here: when it comes, and one as it is sent."""

    about: str
    type: str
    title: str
    detail: str
    more: Mapping[str, Any] = {}

    def response(self, status: int) -> OpenApiResponse:
        value = {
            "type": f"urn:apportion:problem:{self.type}",
            "title": self.title,
            "status": status,
            "detail": self.detail,
            **self.more,
        }
        example = OpenApiExample(self.type, value=value, media_type=CONTENT_TYPE)
        return OpenApiResponse(ProblemSerializer, self.about, [example])


_PROBLEMS: Final[Mapping[int, _Example]] = {
    400: _Example(
        "a parameter is not valid, not known here or given twice; `errors` names it",
        "invalid",
        "Bad Request",
        "some of what was sent is not valid; `errors` names each field",
        {"errors": {"limit": ["a page has at most 1000 items; ask for more with `cursor`"]}},
    ),
    401: _Example(
        "no API key, or one that is not known, revoked or expired",
        "expired-key",
        "No access",
        "the API key 'reports' expired at 2026-11-01T00:00:00+00:00; ask for a new one",
    ),
    403: _Example(
        "a key or a person without the right to read this",
        "wrong-scope",
        "Not allowed with this key",
        "the API key 'gateway' has the scope ingest; this needs a key with the scope portal",
    ),
    404: _Example(
        "there is no such thing, or it is not for this key to see",
        "not-found",
        "Not Found",
        "there is no invoice 7; the list of invoices has those there are",
    ),
}


def described(
    operation: str,
    summary: str,
    about: str,
    answers: type[serializers.Serializer[Any]],
    *,
    parameters: type[serializers.Serializer[Any]] | None = None,
    path: Mapping[str, str] | None = None,
) -> Callable[[_Get], _Get]:
    """The schema of a view's `get`: what it answers, what it takes, what can go wrong. `operation`
    is its name, which begins with its tag; `path` describes the parameters in the path."""
    documented: Callable[[_Get], _Get] = extend_schema(
        operation_id=operation,
        tags=[operation.split("_", maxsplit=1)[0]],
        summary=summary,
        description=about,
        parameters=[
            *(
                OpenApiParameter(
                    name, int if name in _NUMBERS else str, OpenApiParameter.PATH, description=text
                )
                for name, text in (path or {}).items()
            ),
            *([parameters] if parameters else ()),
        ],
        responses={
            200: answers,
            **{
                (status, CONTENT_TYPE): example.response(status)
                for status, example in _PROBLEMS.items()
            },
        },
    )
    return documented


_NUMBERS: Final = frozenset(
    {"invoice", "position", "bill", "run", "reconciliation", "rerating", "budget"}
)


def bounded_day(about: str, *, required: bool = False) -> serializers.DateField:
    """A day as a parameter, not absurdly far away."""
    return serializers.DateField(
        required=required,
        help_text=about,
        validators=[_within],
        error_messages={"invalid": "write the day as YYYY-MM-DD, like 2026-10-01"},
    )


def _within(day: date) -> None:
    if not EARLIEST <= day < LATEST:
        raise serializers.ValidationError(
            f"{day} is out of range; days from {EARLIEST} until before {LATEST} can be asked for"
        )


class MonthField(serializers.CharField):
    """An accounting month, UTC, as `2026-10`."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=10, **more)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return str(month_of(text))
        except InvalidPeriod as error:
            raise serializers.ValidationError(str(error)) from error


def month_of(text: str) -> Month:
    """The month that the text names, not absurdly far away. Raises `InvalidPeriod`."""
    month = Month.parse(text)
    if not EARLIEST <= month.first_day() < LATEST:
        raise InvalidPeriod(f"{text} is out of range; months of 2000 to 2199 can be asked for")
    return month


def month_in_path(text: str) -> Month:
    """The month named in a path. Raises `NotFound`."""
    try:
        return month_of(text)
    except InvalidPeriod as error:
        raise NotFound(str(error)) from error
