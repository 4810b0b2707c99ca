"""Fields of REST answers: what they mean, an example, and how each value is written.

Amounts and quantities that may have decimals are JSON strings, never JSON numbers: what a reader
adds up must not lose a digit on the way.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from metering.domain.money import from_minor, minor_digits, plain

_NOT_GIVEN: Final = object()


class Described(serializers.Field[Any, Any, Any, Any]):
    """A field of an answer with a description and an example. `null` says that it may be null."""

    def __init__(
        self, about: str = "", example: object = _NOT_GIVEN, *, null: bool = False, **more: Any
    ) -> None:
        self.example = example
        super().__init__(help_text=about, read_only=True, allow_null=null, **more)


class Text(Described, serializers.CharField):
    """A text."""


class Whole(Described, serializers.IntegerField):
    """A whole number: a count, or minor units of a currency."""


class Truth(Described, serializers.BooleanField):
    """Yes or no."""


class Day(Described, serializers.DateField):
    """A day, by the clock that the description names."""


class Instant(Described, serializers.DateTimeField):
    """An instant, UTC."""


class Exact(Described, serializers.CharField):
    """An exact amount or quantity as a decimal string, without padding."""

    def to_representation(self, value: Decimal | str) -> str:
        return value if isinstance(value, str) else plain(value)


class Anything(Described, serializers.JSONField):
    """A JSON value whose shape the description names."""


class _DescribedInSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "metering.api.values.Described"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer_field(  # type: ignore[no-untyped-call]  # noqa: SLF001 - documented
            self.target, direction, bypass_extensions=True
        )
        if isinstance(self.target, Exact):
            schema = {**schema, "type": "string", "format": "decimal"}
        if self.target.example is not _NOT_GIVEN:
            schema = {**schema, "example": self.target.example}
        return schema


def money(amount_minor: int, currency: str) -> str:
    """Minor units as an amount with all the decimals of its currency: USD 5 is 5.00, JPY 5 is 5."""
    return f"{from_minor(amount_minor, currency):.{minor_digits(currency)}f}"
