"""Price lists that come as JSON: read exactly, or refused with the place.

Numbers stay the decimals they are written as, and a key that is written twice is an error: with
the usual readers the last one would win in silence.
"""

from __future__ import annotations

import json
from decimal import Context, Decimal
from typing import Any, Final, NoReturn

from metering.pricelists.parsed import UnreadablePriceList

MAX_DIGITS = 40
MAX_NAME: Final = 500
_CERTAIN: Final = Context(prec=15, traps=[])
"""As many digits as a binary float holds for certain. Lists are written by programs that reckon in
them: what they write with more digits is a float's next neighbour (`1.0000000000000001e-07`)."""


def read_json(text: str, *, name: str) -> Any:
    """The value that the text says. Raises `UnreadablePriceList`, naming line and column."""
    try:
        return json.loads(
            text,
            parse_float=Decimal,
            parse_int=int,
            parse_constant=_not_a_number,
            object_pairs_hook=_once,
        )
    except json.JSONDecodeError as error:
        raise UnreadablePriceList(
            f"{name} is no whole JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
            "was it cut off? Fetch it again"
        ) from error
    except ArithmeticError as error:
        raise UnreadablePriceList(f"{name}: a number in it is out of all range") from error
    except (ValueError, RecursionError) as error:
        raise UnreadablePriceList(f"{name} cannot be read: {error}") from error


def number(value: object) -> Decimal | str:
    """A price as the decimal that is written, or why it is none; of a binary float's digits those
    that are certain."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return f"{value!r:.60} is no number"
    amount = Decimal(value)
    if amount < 0:
        return f"{amount} is below 0"
    if amount.adjusted() > MAX_DIGITS or amount.as_tuple().exponent < -MAX_DIGITS:  # type: ignore[operator]
        return f"{value!r:.60} is out of all range"
    return _CERTAIN.plus(amount)


def is_name(text: str) -> bool:
    """Whether the text can name a model or provider: it can be stored, and read."""
    return bool(text.strip()) and text.isprintable() and len(text) <= MAX_NAME


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no price")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is written twice in one object")
    return found
