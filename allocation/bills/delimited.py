"""A bill as a delimited file (CSV) of any layout: a map says which column holds which field.

UTF-8, with a header row; comma, semicolon or tab. Days are UTC: `2026-10-03`, or a timestamp,
which is taken as UTC where it names no offset. A row is refused by its number as a spreadsheet
shows it (the header is row 1).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, TypeVar

from allocation.bills.reading import (
    Fault,
    NotANumber,
    ParsedBill,
    Reading,
    Terms,
    UnreadableBill,
    currency_code,
    exact,
    first_faults,
)
from allocation.bills.token_phrases import read_phrase
from allocation.domain.bill_lines import LINE_KINDS, BillLine, LineKind
from metering.domain.cells import TOKEN_CLASSES
from metering.domain.money import EXACT, UnknownCurrency, minor_digits

NAME: Final = "csv"

FIELDS: Final[tuple[str, ...]] = (
    "provider",
    "account",
    "project",
    "day",
    "model",
    "token_class",
    "tier",
    "quantity",
    "unit",
    "amount",
    "currency",
    "kind",
    "description",
)
"""What a column can be mapped to; a column of the same name needs no map."""

_T = TypeVar("_T")
_REQUIRED: Final = ("day", "amount")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].+)?", re.ASCII)
_UNIT: Final = re.compile(r"[a-z][a-z0-9_]*")
_KINDS: Final[Mapping[str, LineKind]] = {**{k: k for k in LINE_KINDS}, "purchase": "fee"}


class _Refused(ValueError):
    """A value that its column cannot hold."""


def recognises(raw: bytes) -> bool:
    """Whether the first line looks like a header of several columns."""
    first = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
    return first[:1] not in (b"{", b"[", b"") and any(d in first for d in (b",", b";", b"\t"))


def read(raw: bytes, terms: Terms) -> Reading:
    """Read the whole file, or say which rows and columns cannot be read."""
    text = _text(raw)
    if isinstance(text, Fault):
        return UnreadableBill((text,))
    try:
        header, rows = _rows(text)
        if not header:
            return UnreadableBill((Fault("", "the file is empty; it needs a header row"),))
        columns = _columns(header, terms)
        if not isinstance(columns, dict):
            return UnreadableBill(columns)
        return _read_rows(rows, len(header), columns, terms)
    except csv.Error as error:
        return UnreadableBill((Fault("", f"no readable CSV: {error}"),))


def _text(raw: bytes) -> str | Fault:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Fault(f"byte {error.start}", "not UTF-8; save the file as UTF-8")
    return Fault(f"character {text.index(chr(0))}", "NUL: no text file") if "\0" in text else text


def _read_rows(
    rows: Iterable[tuple[int, list[str]]], width: int, columns: Mapping[str, int], terms: Terms
) -> Reading:
    lines: list[BillLine] = []
    faults: list[Fault] = []
    for row_no, row in rows:
        if not any(value.strip() for value in row):
            continue
        if len(row) != width:
            faults.append(Fault(f"row {row_no}", f"has {len(row)} columns, the header {width}"))
            continue
        values = {name: row[index].strip() for name, index in columns.items()}
        outcome = _line(_Row(row_no, values, terms), terms, has_models="model" in columns)
        if isinstance(outcome, BillLine):
            lines.append(outcome._replace(line_no=len(lines) + 1))
        else:
            faults.extend(outcome)
    if faults:
        return UnreadableBill(first_faults(faults))
    return ParsedBill(tuple(lines), frozenset(line.day for line in lines))


def _rows(text: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [name.strip() for name in next(reader, [])]
    return header, ((number, row) for number, row in enumerate(reader, 2))


def _columns(header: list[str], terms: Terms) -> dict[str, int] | tuple[Fault, ...]:
    """Where each field stands, or what is missing, with what the file has instead."""
    faults: list[Fault] = []
    listed = ", ".join(header)
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        faults.append(Fault("header", f"columns named twice: {', '.join(doubled)}"))
    columns = {name: header.index(name) for name in FIELDS if name in header}
    for wanted, column in terms.columns.items():
        if wanted not in FIELDS:
            known = ", ".join(FIELDS)
            faults.append(Fault("map", f"there is no field {wanted!r}; the fields are {known}"))
        elif column not in header:
            faults.append(
                Fault("header", f"no column {column!r} for {wanted}; the file has: {listed}")
            )
        else:
            columns[wanted] = header.index(column)
    mapped = set(terms.columns)
    faults.extend(
        Fault(
            "header",
            f"no column for {wanted}; the file has: {listed}; name it with {wanted}=COLUMN",
        )
        for wanted in _REQUIRED
        if wanted not in columns and wanted not in mapped
    )
    if "currency" not in columns and "currency" not in mapped and terms.currency is None:
        faults.append(
            Fault("header", f"no column for currency (the file has: {listed}); say which it is")
        )
    return tuple(faults) or columns


class _Row:
    """One row being read: values by field, and what could not be read."""

    def __init__(self, row_no: int, values: Mapping[str, str], terms: Terms) -> None:
        self.values = values
        self.faults: list[Fault] = []
        self._row_no = row_no
        self._terms = terms

    def text(self, name: str) -> str:
        return self.values.get(name, "")

    def take(self, name: str, parse: Callable[[str], _T], otherwise: _T) -> _T:
        """The field's value, or `otherwise` with a fault that names row and column."""
        try:
            return parse(self.text(name))
        except (NotANumber, UnknownCurrency, _Refused) as error:
            column = self._terms.columns.get(name, name)
            self.faults.append(Fault(f"row {self._row_no}, column {column!r}", str(error)))
            return otherwise


def _line(row: _Row, terms: Terms, *, has_models: bool) -> BillLine | list[Fault]:
    provider = row.take("provider", _provider(terms.provider), terms.provider)
    currency = row.take("currency", _currency(terms.currency), "")
    said = row.take("amount", _number, Decimal(0))
    quantity = row.take("quantity", _quantity, None)
    phrase = row.take("token_class", _token_class, ("", ""))
    tier = row.take("tier", _tier, "") or phrase[1]
    unattributed = has_models and not row.text("model") and not phrase[0]
    usage: LineKind = "usage"
    kind = row.take("kind", _kind(said, "fee" if unattributed else usage), usage)
    day = row.take("day", _day, date.min)
    if row.faults:
        return row.faults
    return BillLine(
        bill_id=0,
        line_no=0,
        provider=provider,
        account=row.text("account") or terms.account,
        project=row.text("project"),
        day=day,
        kind=kind,
        model=row.text("model"),
        token_class=phrase[0],
        tier=tier,
        quantity=quantity,
        quantity_unit=row.text("unit"),
        amount=said.scaleb(-minor_digits(currency), EXACT)
        if terms.amount_unit == "minor"
        else said,
        currency=currency,
        description=row.text("description"),
    )


def _provider(wanted: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text and text.lower() != wanted.lower():
            raise _Refused(f"the row is of {text!r}, but the bill is imported for {wanted!r}")
        return wanted

    return parse


def _currency(given: str | None) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not text:
            if given is None:
                raise _Refused("empty; give the currency of the rows that name none")
            return given
        code = currency_code(text)
        if given is not None and code != given:
            raise _Refused(f"the row is in {code}, but the import says {given}")
        return code

    return parse


def _number(text: str) -> Decimal:
    if not text:
        raise _Refused("empty; write 0 where nothing is charged")
    return exact(text)


def _quantity(text: str) -> Decimal | None:
    if not text:
        return None
    quantity = exact(text)
    if quantity < 0:
        raise _Refused(f"{text} is negative; a quantity counts what was used")
    return quantity


def _token_class(text: str) -> tuple[str, str]:
    """The class and the tier that the words may carry with it."""
    if not text or text in TOKEN_CLASSES:
        return text, ""
    phrase = read_phrase(text)
    if phrase.token_class is not None:
        return phrase.token_class, phrase.tier
    unit = "_".join(text.lower().split())
    if not _UNIT.fullmatch(unit):
        raise _Refused(
            f"{text!r} is no token class; write one of {', '.join(TOKEN_CLASSES)} or a unit "
            "like web_search"
        )
    return unit, ""


def _tier(text: str) -> str:
    return "_".join(text.lower().split())


def _kind(amount: Decimal, otherwise: LineKind) -> Callable[[str], LineKind]:
    def parse(text: str) -> LineKind:
        kind = _KINDS.get(text.lower()) if text else otherwise
        if kind is None:
            raise _Refused(f"{text!r} is no kind of line; write one of {', '.join(LINE_KINDS)}")
        if kind == "credit" and amount > 0:
            raise _Refused(f"a credit of {amount} would raise the bill; write it negative")
        if amount < 0 and kind in ("usage", "fee"):
            return "credit"
        return kind

    return parse


def _day(text: str) -> date:
    if not _DAY.fullmatch(text):
        raise _Refused(f"{text!r} is no day; write it like 2026-10-03")
    try:
        if len(text) == len("2026-10-03"):
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text)
        return (instant.astimezone(UTC) if instant.tzinfo else instant).date()
    except (ValueError, OverflowError):
        raise _Refused(f"{text!r} is no day of the calendar; write it like 2026-10-03") from None
