"""How a source names whom its calls are for, and in metered events what they used: its own names
before those that are known."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from metering.book_version import book_version
from metering.files.call_parsers import (
    CallFormat,
    Parse,
    UnknownField,
    attributes_of,
    names_that_fit,
    parser_of,
)
from metering.formats.attribute_map import DEFAULT, AttributeMap
from metering.models import AttributeName

MAPS: Final = 256
REMEMBERED: Final = 1_000


class Reading(NamedTuple):
    """How a source's records are read, and of which version of the owners' book that is."""

    parse: Parse
    version: str


_readings: dict[tuple[CallFormat, str], Reading] = {}


def attributes_for(source: str) -> AttributeMap:
    """The map that the source's messages are read by; asks the database each time, so that a
    change holds from the next message on."""
    names = names_that_fit("litellm", _names_of(source))
    return _map_of(names) if names else DEFAULT


def parser_for(format: CallFormat, source: str) -> Parse:
    """The parser of the source's records in that format; asks the database each time, as above."""
    version = book_version()
    parse = parser_of(format, names_that_fit(format, _names_of(source)))
    if len(_readings) >= REMEMBERED:
        _readings.clear()
    _readings[format, source] = Reading(parse, version)
    return parse


def remembered_reading(format: CallFormat, source: str) -> Reading | None:
    """How the source's records were read when this process last asked. Who reads by it must ask,
    with what it stores, whether the version still holds (`small_intake.Sent`)."""
    return _readings.get((format, source))


def _names_of(source: str) -> tuple[tuple[str, str], ...]:
    rows = AttributeName.objects.filter(source=source, active=True)
    return tuple(rows.order_by("position", "id").values_list("field", "attribute"))


@lru_cache(maxsize=MAPS)
def _map_of(names: tuple[tuple[str, str], ...]) -> AttributeMap:
    """One map for the same names, so that what is worked out from it is worked out once."""
    return attributes_of(DEFAULT, names)


def problem_of(field: str, attribute: str) -> str | None:
    """Why the attribute cannot say that field."""
    try:
        parser_of("openmeter", ((field, attribute),))
    except UnknownField as error:
        return str(error)
    return None
