"""Providers' bills: taken in once, kept as they came, and read by whoever needs their lines."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from django.db import connection, transaction
from djmoney.money import Money

from allocation.bill_checks import (
    BillPart,
    BillRefused,
    Confirmed,
    overlapped_by,
    refuse_closed,
    refuse_doubtful,
    refuse_future,
    refuse_unreplaced,
    sum_of,
)
from allocation.bills.formats import UnknownFormat, format_named, recognise
from allocation.bills.reading import ParsedBill, Terms, UnreadableBill
from allocation.domain.bill_lines import BillLine
from allocation.models import (
    BillDocument,
    BillReplacement,
    ProviderBill,
    ProviderBillLine,
)
from metering.domain.digests import digest_of
from metering.domain.money import from_minor, settle
from metering.domain.periods import Month

_PROVIDER: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_BATCH: Final = 2_000


class StoredBill(NamedTuple):
    """A bill as stored. `replaced_by` is the bill that restates it, if one does."""

    id: int
    provider: str
    account: str
    month: Month
    days: tuple[date, ...]
    currency: str
    exact: Decimal
    payable: Decimal
    lines: int
    lines_digest: str
    document_sha256: str
    replaced_by: int | None


class Imported(NamedTuple):
    """The bills of a document, one for each account and month; `new` is false if the same
    document had been taken in on the same terms before."""

    bills: tuple[StoredBill, ...]
    new: bool


def import_bill(
    raw: bytes,
    terms: Terms,
    *,
    now: datetime,
    name: str = "",
    format_name: str | None = None,
    replaces: Collection[int] = (),
    confirmed: Confirmed = Confirmed(),  # noqa: B008 - an immutable value
) -> Imported:
    """Keep the document, read it, and store one bill for each account and UTC month in it.

    All of it or nothing, in one transaction. The same bytes on the same terms are taken in once,
    also by two imports at once; once more only where they replace what had replaced them, so that
    a restatement that was a mistake can be taken back. Raises `BillRefused` where the document
    cannot be read, its month is closed, its days already have a bill that it does not replace, or
    its unit or currency is in doubt and nobody has confirmed it.
    """
    if not _PROVIDER.fullmatch(terms.provider):
        raise BillRefused(f"{terms.provider!r} is no provider's key; write it like openai")
    sha256 = hashlib.sha256(raw).hexdigest()
    try:
        chosen = recognise(raw) if format_name is None else format_named(format_name)
    except UnknownFormat as error:
        raise BillRefused(str(error)) from None
    with transaction.atomic():
        _lock_provider(terms.provider)
        terms, known = _last_taken(sha256, chosen.name, terms)
        if known:
            if not _takes_back(known, replaces):
                return Imported(known, new=False)
            terms = dataclasses.replace(terms, again=terms.again + 1)
        reading = _reading(sha256, chosen.name, _terms_json(terms), terms.provider)
        document = _keep(raw, sha256, name, now)
        parsed = chosen.read(raw, terms)
        if isinstance(parsed, UnreadableBill):
            raise BillRefused(str(parsed))
        parts = _parts(parsed)
        refuse_future(parts, now)
        refuse_closed(parts)
        refuse_doubtful(parts, terms.provider, confirmed)
        old = [overlapped_by(part, terms.provider, replaces, sha256) for part in parts]
        refuse_unreplaced(set(replaces).difference(*old) if old else set(replaces), terms.provider)
        for part, overlapped in zip(parts, old, strict=True):
            bill_id = _store_lines(part)
            BillReplacement.objects.bulk_create(
                BillReplacement(replaced_id=old_id, by_id=bill_id) for old_id in overlapped
            )
            exact = sum_of(part.lines)
            ProviderBill.objects.create(
                id=bill_id,
                document=document,
                reading=reading,
                provider=terms.provider,
                account=part.account,
                month=str(part.month),
                days=list(part.days),
                format=chosen.name,
                terms=_terms_json(terms),
                currency=part.currency,
                exact=exact,
                payable=Money(  # type: ignore[misc]
                    from_minor(settle(exact, part.currency), part.currency), part.currency
                ),
                line_count=len(part.lines),
                lines_digest=digest_of([line[1:] for line in part.lines]),
                imported_at=now,
            )
        return Imported(_stored(reading=reading), new=True)


def _last_taken(
    sha256: str, format_name: str, terms: Terms
) -> tuple[Terms, tuple[StoredBill, ...]]:
    """The terms on which the document was taken in last, and the bills that came of it; none."""
    known: tuple[StoredBill, ...] = ()
    for again in itertools.count(terms.again):
        asked = dataclasses.replace(terms, again=again)
        found = _stored(reading=_reading(sha256, format_name, _terms_json(asked), asked.provider))
        if not found:
            break
        terms, known = asked, found
    return terms, known


def _takes_back(known: Collection[StoredBill], replaces: Collection[int]) -> bool:
    """Whether bills that were replaced shall now replace one that holds."""
    return (
        any(bill.replaced_by for bill in known)
        and ProviderBill.objects.filter(id__in=replaces, replacement__isnull=True).exists()
    )


def bill_lines(month: Month, provider: str | None = None) -> list[BillLine]:
    """Every line of the month's bills that are not replaced, by bill and line number."""
    bills = ProviderBill.objects.filter(month=str(month), replacement__isnull=True)
    if provider is not None:
        bills = bills.filter(provider=provider)
    rows = (
        ProviderBillLine.objects.filter(bill__in=bills)
        .order_by("bill_id", "line_no")
        .values_list(*_LINE_COLUMNS)
    )
    return [BillLine(*row) for row in rows]


def lines_of(bill: ProviderBill) -> list[BillLine]:
    """One bill's lines as they are stored, replaced or not, by line number."""
    rows = ProviderBillLine.objects.filter(bill_id=bill.pk).order_by("line_no")
    return [BillLine(*row) for row in rows.values_list(*_LINE_COLUMNS)]


def read_again(bill: ProviderBill) -> list[BillLine]:
    """What the bill's document says its lines are, read anew on the terms it was imported on.

    Raises `BillRefused` if the document cannot be read any more.
    """
    terms = Terms(provider=bill.provider, **bill.terms)
    parsed = format_named(bill.format).read(bytes(bill.document.content), terms)
    if isinstance(parsed, UnreadableBill):
        raise BillRefused(str(parsed))
    month = Month.parse(bill.month)
    return [
        line._replace(bill_id=bill.pk)
        for part in _parts(parsed)
        if (part.account, part.month) == (bill.account, month)
        for line in part.lines
    ]


def reading_of(bill: ProviderBill) -> str:
    """The digest of what was read and how, taken again from the bill's document and terms."""
    return _reading(bill.document.sha256, bill.format, bill.terms, bill.provider)


def bills_of(month: Month) -> tuple[StoredBill, ...]:
    """The month's bills, replaced ones too, by provider and account, oldest first."""
    return _stored(month=str(month))


_LINE_COLUMNS: Final = (
    "bill_id",
    "line_no",
    "bill__provider",
    "bill__account",
    "project",
    "day",
    "kind",
    "model",
    "token_class",
    "tier",
    "quantity",
    "quantity_unit",
    "amount",
    "bill__currency",
    "description",
)


def _stored(**which: str) -> tuple[StoredBill, ...]:
    bills = (
        ProviderBill.objects.filter(**which)
        .select_related("document", "replacement")
        .defer("document__content")
        .order_by("month", "provider", "account", "id")
    )
    return tuple(
        StoredBill(
            id=bill.id,
            provider=bill.provider,
            account=bill.account,
            month=Month.parse(bill.month),
            days=tuple(bill.days),
            currency=bill.currency,
            exact=bill.exact,
            payable=bill.payable.amount,
            lines=bill.line_count,
            lines_digest=bill.lines_digest,
            document_sha256=bill.document.sha256,
            replaced_by=bill.replacement.by_id if hasattr(bill, "replacement") else None,
        )
        for bill in bills
    )


def _reading(sha256: str, format_name: str, terms: object, provider: str) -> str:
    return digest_of([sha256, format_name, terms, provider])


def _terms_json(terms: Terms) -> dict[str, object]:
    return {
        "account": terms.account,
        "currency": terms.currency,
        "columns": dict(terms.columns),
        "amount_unit": terms.amount_unit,
        **({"again": terms.again} if terms.again else {}),
    }


def _lock_provider(provider: str) -> None:
    """One import of a provider's bills at a time; the bill's own trigger takes the same lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('provider_bill ' || %s, 0))", [provider]
        )


def _keep(raw: bytes, sha256: str, name: str, now: datetime) -> BillDocument:
    BillDocument.objects.bulk_create(
        [BillDocument(sha256=sha256, content=raw, name=name, received_at=now)],
        ignore_conflicts=True,
    )
    return BillDocument.objects.defer("content").get(sha256=sha256)


def _parts(parsed: ParsedBill) -> list[BillPart]:
    """The document's lines by account and UTC month. Raises `BillRefused` where that makes no
    bill: nothing charged at all, or two currencies in one."""
    if not parsed.lines:
        raise BillRefused("the document charges nothing: there is no line in it to take in")
    lines: dict[tuple[str, Month], list[BillLine]] = defaultdict(list)
    for line in parsed.lines:
        lines[line.account, Month(line.day.year, line.day.month)].append(line)
    parts: list[BillPart] = []
    for (account, month), of_month in sorted(lines.items()):
        first = of_month[0]
        for line in of_month:
            if line.currency != first.currency:
                raise BillRefused(
                    f"line {line.line_no} is in {line.currency}, line {first.line_no} in "
                    f"{first.currency}: a bill has one currency; import them as two accounts"
                )
        numbered = tuple(line._replace(line_no=n) for n, line in enumerate(of_month, 1))
        days = {d for d in parsed.days if (d.year, d.month) == (month.year, month.month)}
        parts.append(
            BillPart(
                account=account,
                month=month,
                days=tuple(sorted(days if _one_account(lines) else {x.day for x in of_month})),
                currency=first.currency,
                lines=numbered,
            )
        )
    return parts


def _one_account(keys: Collection[tuple[str, Month]]) -> bool:
    return len({account for account, _ in keys}) == 1


def _store_lines(part: BillPart) -> int:
    """Write the lines of a bill that is yet to come, and answer with its number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('provider_bill', 'id'))")
        bill_id: int = cursor.fetchone()[0]
    ProviderBillLine.objects.bulk_create(
        (
            ProviderBillLine(
                bill_id=bill_id,
                line_no=line.line_no,
                project=line.project,
                day=line.day,
                kind=line.kind,
                model=line.model,
                token_class=line.token_class,
                tier=line.tier,
                quantity=line.quantity,  # type: ignore[misc]
                quantity_unit=line.quantity_unit,
                amount=line.amount,
                description=line.description,
            )
            for line in part.lines
        ),
        batch_size=_BATCH,
    )
    return bill_id
