"""OpenAI's Costs API: `GET /v1/organization/costs`, one file of one or more pages.

Source: OpenAI's OpenAPI document (`CostsResult`, `UsageTimeBucket`). Amounts are dollars (major
units), as JSON numbers or as decimal strings; both are read digit by digit. Buckets are whole
UTC days. With `group_by=line_item` a line item reads "<dated model>, cached input"; without it
the amount is the whole day's. A line item that names no tier leaves the tier open.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

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
from allocation.bills.token_phrases import read_phrase, tool_unit
from allocation.domain.bill_lines import BillLine, LineKind
from metering.domain.money import UnknownCurrency

NAME: Final = "openai-costs"
_DAY: Final = 86_400
_RESULT: Final = "organization.costs.result"
_LAST_SECOND: Final = 253_402_300_799


class _Amount(msgspec.Struct, frozen=True):
    value: msgspec.Raw = msgspec.Raw(b"null")
    currency: str | None = None


class _Result(msgspec.Struct, frozen=True):
    object: str = _RESULT
    amount: _Amount | None = None
    line_item: str | None = None
    project_id: str | None = None
    quantity: msgspec.Raw = msgspec.Raw(b"null")
    quantity_unit: str | None = None


class _Bucket(msgspec.Struct, frozen=True):
    start_time: int
    end_time: int
    results: list[_Result]


class _Page(msgspec.Struct, frozen=True):
    data: list[_Bucket]
    has_more: bool
    next_page: str | None = None


class Item(NamedTuple):
    """What a line item's text says."""

    kind: LineKind
    model: str
    token_class: str
    tier: str


def recognises(raw: bytes) -> bool:
    """Whether the bytes look like pages of this API (whole or broken)."""
    head = raw[:4096].lstrip()
    return head[:1] in (b"{", b"[") and b'"data"' in head


def read(raw: bytes, terms: Terms) -> Reading:
    """Read one page, a JSON array of pages, or one page a line; all of a bill or nothing."""
    stranger = _stranger(raw)
    if stranger is not None:
        return UnreadableBill((stranger,))
    pages = _pages(raw)
    if isinstance(pages, Fault):
        return UnreadableBill((pages,))
    faults = first_faults(_chain_faults(pages))
    if faults:
        return UnreadableBill(faults)
    lines: list[BillLine] = []
    problems: list[Fault] = []
    for page_no, page in enumerate(pages, 1):
        for bucket_no, bucket in enumerate(page.data, 1):
            place = f"page {page_no}, bucket {bucket_no}"
            for outcome in _bucket_lines(place, bucket, terms):
                if isinstance(outcome, Fault):
                    problems.append(outcome)
                else:
                    lines.append(outcome._replace(line_no=len(lines) + 1))
    if problems:
        return UnreadableBill(first_faults(problems))
    days = frozenset(_day(b) for page in pages for b in page.data)
    return ParsedBill(tuple(lines), days)


def read_item(text: str, quantity_unit: str) -> Item:
    """What a line item is for. A text that names no known token class is a fee, unless it counts
    tokens: then it is usage that the bill does not attribute (`model` and class `""`)."""
    model, comma, rest = text.partition(",")
    if not comma:
        alone = read_phrase(text)
        if alone.token_class is not None:
            return Item("usage", "", alone.token_class, alone.tier)
        return _unattributed(text, quantity_unit)
    name, tier_of_name = _split_tier(model.strip())
    phrase = read_phrase(rest)
    if phrase.token_class is None:
        return _unattributed(text, quantity_unit)
    return Item("usage", name, phrase.token_class, phrase.tier or tier_of_name)


def _unattributed(text: str, quantity_unit: str) -> Item:
    unit = tool_unit(text)
    if unit:
        return Item("fee", "", unit, "")
    counts_tokens = quantity_unit == "tokens" or text.lower().endswith("tokens")
    return Item("usage" if counts_tokens else "fee", "", "", "")


def _split_tier(model: str) -> tuple[str, str]:
    """`gpt-4o-2024-08-06 (batch)` is the model and its tier."""
    name, _, last = model.rpartition(" ")
    tier = read_phrase(last).tier
    if name and tier:
        return name.strip(), tier
    return model, ""


def _stranger(raw: bytes) -> Fault | None:
    """Files of other APIs that would otherwise be read with a wrong unit."""
    head = raw[:4096]
    if b'"organization.usage.' in head:
        return Fault(
            "",
            "these are usage counts (organization.usage.*), not costs; "
            "fetch /v1/organization/costs instead",
        )
    if b'"starting_at"' in raw:
        return Fault(
            "",
            "this is an Anthropic cost report (buckets with starting_at): its amounts are cents "
            f"as strings, and {NAME} would read them as dollars; import it with the format "
            "for Anthropic's cost report",
        )
    return None


def _pages(raw: bytes) -> list[_Page] | Fault:
    text = raw.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return Fault("", "the file is empty")
    try:
        if text.startswith(b"["):
            return msgspec.json.decode(text, type=list[_Page])
        return [msgspec.json.decode(text, type=_Page)]
    except msgspec.ValidationError as error:
        return Fault(_place_of(str(error)), str(error))
    except msgspec.DecodeError as error:
        first_line, newline, _ = text.partition(b"\n")
        if not newline or first_line.strip() in (b"[", b"{"):
            return Fault("", f"no JSON: {error}")
    return _page_lines(text)


def _page_lines(text: bytes) -> list[_Page] | Fault:
    pages: list[_Page] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            pages.append(msgspec.json.decode(line, type=_Page))
        except msgspec.DecodeError as error:
            return Fault(f"line {number}", str(error))
    return pages


def _place_of(message: str) -> str:
    """msgspec names the place as a path: `$[1].data[0].results[3].amount`."""
    words: list[str] = []
    _, _, path = message.rpartition("`$")
    if path.startswith("["):
        words.append(f"page {int(path[1:].partition(']')[0]) + 1}")
    for key, word in ((".data[", "bucket"), (".results[", "result")):
        _, found, tail = path.partition(key)
        index = tail.partition("]")[0]
        if found and index.isdigit():
            words.append(f"{word} {int(index) + 1}")
    return ", ".join(words)


def _chain_faults(pages: list[_Page]) -> Iterator[Fault]:
    """Every page there, once, in order, with whole days: a missing page is missing money."""
    if not pages:
        yield Fault("", "there is no page in the file")
        return
    seen: dict[int, str] = {}
    for page_no, page in enumerate(pages, 1):
        for bucket_no, bucket in enumerate(page.data, 1):
            place = f"page {page_no}, bucket {bucket_no}"
            yield from _bucket_faults(place, bucket)
            if bucket.start_time in seen:
                yield Fault(
                    place,
                    f"the day that starts at {bucket.start_time} was already in "
                    f"{seen[bucket.start_time]}; give each page once",
                )
            seen.setdefault(bucket.start_time, place)
    for number, (page, following) in enumerate(pairwise(pages), 1):
        if not page.has_more:
            yield Fault(
                f"page {number}",
                f"says that it is the last (has_more is false), yet page {number + 1} follows; "
                "give the pages of one query, in their order",
            )
        if page.data and following.data and page.data[-1].end_time != following.data[0].start_time:
            yield Fault(
                f"page {number + 1}",
                "does not begin where the page before it ends; a page between them is missing, "
                "or they are out of order",
            )
    if pages[-1].has_more or pages[-1].next_page:
        yield Fault(
            f"page {len(pages)}",
            "has_more is true, so pages after it are missing and with them a part of the bill; "
            "fetch them (page=next_page) and import all pages together",
        )


def _bucket_faults(place: str, bucket: _Bucket) -> Iterator[Fault]:
    start, end = bucket.start_time, bucket.end_time
    if not 0 <= start <= _LAST_SECOND - _DAY:
        yield Fault(place, f"start_time {start} is no time in Unix seconds")
    elif start % _DAY or end - start != _DAY:
        yield Fault(
            place,
            f"{start} to {end} is not one whole UTC day; fetch the costs with bucket_width=1d "
            "and a start_time and end_time at midnight UTC",
        )


def _bucket_lines(place: str, bucket: _Bucket, terms: Terms) -> Iterator[BillLine | Fault]:
    for number, result in enumerate(bucket.results, 1):
        try:
            line = _line(result, _day(bucket), terms)
        except (NotANumber, UnknownCurrency, _Refused) as error:
            yield Fault(f"{place}, result {number}", str(error))
        else:
            if line is not None:
                yield line


class _Refused(ValueError):
    """A result that cannot be a line of a bill."""


def _line(result: _Result, day: date, terms: Terms) -> BillLine | None:
    """The result as a line, or `None` where the API gives no amount (nothing was charged)."""
    if result.object != _RESULT:
        raise _Refused(f"object is {result.object!r}, not {_RESULT!r}")
    if any("\0" in (text or "") for text in (result.line_item, result.project_id)):
        raise _Refused("a text holds the character NUL, which no provider sends")
    value = _number(result.amount.value) if result.amount is not None else None
    if result.amount is None or value is None:
        return None
    quantity, unit = _tokens(_number(result.quantity), result.quantity_unit or "")
    item = (
        Item("usage", "", "", "")
        if result.line_item is None or not result.line_item.strip()
        else read_item(result.line_item.strip(), unit)
    )
    if value < 0:
        item = item._replace(kind="credit")
    elif quantity is not None and quantity < 0:
        raise _Refused(f"quantity {quantity} is negative, but the amount is not")
    return BillLine(
        bill_id=0,
        line_no=0,
        provider=terms.provider,
        account=terms.account,
        project=result.project_id or "",
        day=day,
        kind=item.kind,
        model=item.model,
        token_class=item.token_class,
        tier=item.tier,
        quantity=quantity,
        quantity_unit=unit,
        amount=value,
        currency=_currency(result.amount.currency, terms),
        description=result.line_item or "",
    )


def _currency(said: str | None, terms: Terms) -> str:
    if said is None:
        raise _Refused("the amount has no currency")
    code = currency_code(said)
    if terms.currency is not None and code != terms.currency:
        raise _Refused(f"the amount is in {code}, but the import says {terms.currency}")
    return code


def _number(raw: msgspec.Raw) -> Decimal | None:
    text = bytes(raw).strip()
    if text == b"null":
        return None
    if text.startswith(b'"'):
        return exact(msgspec.json.decode(text, type=str))
    return exact(text.decode())


def _tokens(quantity: Decimal | None, unit: str) -> tuple[Decimal | None, str]:
    if unit == "1000_tokens" and quantity is not None:
        return quantity * 1000, "tokens"
    return quantity, unit


def _day(bucket: _Bucket) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=bucket.start_time)).date()
