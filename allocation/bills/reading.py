"""What every format of a provider's bill is read with, and what reading it gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from allocation.domain.bill_lines import BillLine
from metering.domain.money import UnknownCurrency, minor_digits

AmountUnit = Literal["major", "minor"]

MAX_FAULTS: Final = 20
"""A file that is wrong throughout is described by its first faults, not by all of them."""

MAX_DECIMALS: Final = 30
MAX_MAGNITUDE: Final = 18

_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:[ ,.' _]\d{3})+(?:[.,]\d+)?|[+-]?\d+,\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the importer says about a bill that the bill may leave unsaid.

    `account` and `currency` are for lines that name none (`None`: the bill must say it).
    `columns` maps fields to columns of a delimited file; `amount_unit` is the unit of its
    amounts. `again` counts how often the same document was taken in anew, after a restatement of
    it had turned out to be the mistake; it changes nothing of how the bill is read.
    """

    provider: str
    account: str = ""
    currency: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    amount_unit: AmountUnit = "major"
    again: int = 0


class Fault(NamedTuple):
    """Why a bill cannot be read: the page, bucket, row or column, and what to do about it."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ParsedBill(NamedTuple):
    """All lines of a bill, numbered from 1 in the order of the file, and the UTC days that it
    speaks for (also days on which it charges nothing). Their `bill_id` is 0: not stored yet."""

    lines: tuple[BillLine, ...]
    days: frozenset[date]


class UnreadableBill(NamedTuple):
    """The file is refused as a whole: part of a bill would look like a smaller bill."""

    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return "\n".join(str(f) for f in self.faults)


Reading = ParsedBill | UnreadableBill


class NotANumber(ValueError):
    """The text is no plain decimal number; the message says how to write it."""


def exact(text: str) -> Decimal:
    """The decimal number that the text spells: a point for the decimals, no separators for
    thousands, no currency sign. Raises `NotANumber`."""
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped):
        number = Decimal(stripped)
        exponent = number.as_tuple().exponent
        if number.adjusted() > MAX_MAGNITUDE or int(exponent) < -MAX_DECIMALS:
            raise NotANumber(
                f"{text!r} is out of all proportion: 10^{MAX_MAGNITUDE + 1} and more than "
                f"{MAX_DECIMALS} decimals do not occur on bills"
            )
        return number
    if _GROUPED.fullmatch(stripped):
        raise NotANumber(
            f"{text!r} has a separator of thousands or a decimal comma; write it like 1234.50"
        )
    raise NotANumber(f"{text!r} is no number; write it like 1234.50 or -3")


def currency_code(text: str) -> str:
    """The ISO 4217 code in capitals. Raises `UnknownCurrency`."""
    code = text.strip()
    if code not in (code.lower(), code.upper()):
        raise UnknownCurrency(f"{text!r} is no ISO 4217 currency code; write it like USD")
    minor_digits(code.upper())
    return code.upper()


def first_faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """The first `MAX_FAULTS` faults, and a word on how many more there are."""
    kept: list[Fault] = []
    more = 0
    for fault in faults:
        if len(kept) < MAX_FAULTS:
            kept.append(fault)
        else:
            more += 1
    if more:
        kept.append(Fault("", f"and {more} more"))
    return tuple(kept)
