"""Which parser reads the records of a file, told how the sender names things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final, Literal, cast, get_args

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import (
    lago,
    litellm,
    native,
    openmeter,
    opsmeter,
    property_map,
    provider_responses,
)
from metering.formats.attribute_map import DEFAULT, AttributeMap
from metering.formats.property_map import PropertyMap

CallFormat = Literal["native", "opsmeter", "litellm", "openmeter", "lago", "responses"]
CALL_FORMATS: Final[tuple[CallFormat, ...]] = get_args(CallFormat)
"""Formats of which one record is one call."""

FREE_NAMES: Final = ("litellm", "openmeter", "lago", "responses")
"""Formats in which senders name what is theirs as they like."""
ANY_PROVIDER: Final = ("openmeter", "lago", "responses")
"""Formats in which a record need not name its provider."""

Parse = Callable[..., UsageEvent | Rejection]


class UnknownField(ValueError):
    """A name is mapped to a field that no event has."""


@lru_cache(maxsize=64)
def parser_of(
    format: CallFormat, names: tuple[tuple[str, str], ...] = (), provider: str = ""
) -> Parse:
    """The parser of the format's records (bytes → event or rejection).

    `names` are pairs of a native field (or `tags.NAME`) and the property or attribute that carries
    it, before those that are known; `provider` is whose models they are where a record does not
    say. Raises `UnknownField`.
    """
    match format:
        case "native":
            return native.parse
        case "opsmeter":
            return opsmeter.parse
        case "litellm":
            return partial(litellm.parse, attributes=attributes_of(litellm.ATTRIBUTES, names))
        case "openmeter":
            known = openmeter.PROPERTIES
            return partial(openmeter.parse, properties=_properties(known, names, provider))
        case "lago":
            known = property_map.DEFAULT
            return partial(lago.parse, properties=_properties(known, names, provider))
        case "responses":
            attributes = attributes_of(DEFAULT, names)
            return partial(provider_responses.parse, provider=provider, attributes=attributes)


def names_that_fit(
    format: CallFormat, names: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Of a source's names those that the format can use: only metered events (OpenMeter's, Lago's)
    say their usage under names of the sender's own."""
    known: set[str] = set(DEFAULT.names)
    if format in ("openmeter", "lago"):
        known |= property_map.DEFAULT.names.keys()
    return tuple(
        (field, name)
        for field, name in names
        if field.startswith("tags.") or native.FIELDS.get(field, field) in known
    )


def attributes_of(known: AttributeMap, names: tuple[tuple[str, str], ...]) -> AttributeMap:
    """The map with the named attributes before those that it knows. Raises `UnknownField`."""
    fields, tags = _sorted(names, set(known.names))
    return known.preferring(cast("Any", fields), tags)


def _properties(
    known: PropertyMap, names: tuple[tuple[str, str], ...], provider: str
) -> PropertyMap:
    fields, tags = _sorted(names, {*known.names, *known.attributes.names})
    return replace(known.preferring(fields, tags), provider=provider)


def _sorted(
    names: tuple[tuple[str, str], ...], known: set[str]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    fields: dict[str, list[str]] = {}
    tags: dict[str, str] = {}
    for field, name in names:
        head, _, tag = field.partition(".")
        own = native.FIELDS.get(field, field)
        if head == "tags" and tag:
            tags[name] = tag
        elif own in known:
            fields.setdefault(own, []).append(name)
        else:
            choice = sorted(wire for wire, name in native.FIELDS.items() if name in known)
            raise UnknownField(
                f"{field!r} cannot be mapped in this format; what can is"
                f" {', '.join((*choice, *sorted(known - set(native.FIELDS.values()))))}, tags.NAME"
            )
    return fields, tags
