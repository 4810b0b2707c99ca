"""How a source names whom its calls are for: its own attributes before those that are known."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from metering.files.call_parsers import UnknownField, attributes_of
from metering.formats.attribute_map import DEFAULT, AttributeMap
from metering.models import AttributeName

MAPS: Final = 256


def attributes_for(source: str) -> AttributeMap:
    """The map that the source's messages are read by; asks the database each time, so that a
    change holds from the next message on."""
    rows = AttributeName.objects.filter(source=source, active=True)
    names = tuple(rows.order_by("position", "id").values_list("field", "attribute"))
    return _map_of(names) if names else DEFAULT


@lru_cache(maxsize=MAPS)
def _map_of(names: tuple[tuple[str, str], ...]) -> AttributeMap:
    """One map for the same names, so that what is worked out from it is worked out once."""
    return attributes_of(DEFAULT, names)


def problem_of(field: str, attribute: str) -> str | None:
    """Why the attribute cannot say that field."""
    try:
        attributes_of(DEFAULT, ((field, attribute),))
    except UnknownField as error:
        return str(error)
    return None
