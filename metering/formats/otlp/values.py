"""Values inside attributes that are more than a name or a number: objects and lists as text."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from metering.formats.malformed import UNDECODABLE

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def object_of(value: object) -> Mapping[str, Any]:
    """A mapping, or one written as JSON or as Python writes it; empty for all else."""
    if isinstance(value, str):
        value = _parsed(value)
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> list[object]:
    """A list, or one written as JSON or between commas; a plain text is a list of one."""
    if isinstance(value, str):
        parsed = _parsed(value)
        value = parsed if isinstance(parsed, list) else value.split(",")
    return value if isinstance(value, list) else [value]


def _parsed(text: str) -> object:
    """What the text says as JSON; `None` where it is none."""
    if text[:1] not in ("{", "["):
        return None
    for written in (text, text.replace("'", '"')):
        try:
            return _decode(written)
        except (*UNDECODABLE, ArithmeticError):
            continue
    return None
