"""The catalogue of prices: taking a list over, and the book that events are rated with."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from importlib.metadata import version
from typing import Final, NamedTuple

from django.db import connection, models, transaction
from django.db.models import F, Q

from metering.domain.digests import digest_of
from metering.domain.price_book import PriceBook
from metering.domain.price_changes import price_changes
from metering.domain.price_matching import ListedProvider, PriceList
from metering.domain.prices import Conditions, Price, UnitPrice
from metering.models.prices import PriceListImport, PriceRow
from metering.pricelists.genai_prices import parse_genai_prices
from metering.pricelists.parsed import ParsedList

GENAI_PRICES: Final = "genai-prices"

_IMPORT_LOCK: Final = 0x7072696365  # "price": one import at a time, whoever runs it


class PriceListOutOfOrder(ValueError):
    """A list is to take effect before one that already did; the message names both instants."""


class ImportResult(NamedTuple):
    """What an import did: rows opened, rows that were given an end, rows left as they were."""

    source: str
    added: int
    closed: int
    unchanged: int


def is_empty() -> bool:
    """Whether no price list has ever been taken over."""
    return not PriceListImport.objects.exists()


def import_genai_prices(*, effective_at: datetime) -> ImportResult:
    """Take over the prices inside the installed `genai-prices` package, from `effective_at` on.

    All of it or nothing. The same edition again changes nothing, whatever the instant. Of a model
    and condition that had no price here, the list's whole dated history is taken; all others are
    as before until `effective_at` (aware) and as the list says from then on.

    Raises `PriceListOutOfOrder` if a different edition already took effect then or later, and
    `InvalidPrice` or `InvalidClause` if the list holds something that is not understood.
    """
    from genai_prices.data import providers  # a megabyte of literals, for this one function

    parsed = parse_genai_prices(
        providers,
        source=f"{GENAI_PRICES} {version('genai-prices')}",
        effective_at=effective_at,
    )
    return take_over(GENAI_PRICES, parsed)


def take_over(book: str, parsed: ParsedList) -> ImportResult:
    """Make the list the one of the book from its effective instant on (`import_genai_prices`)."""
    rules, source = parsed.rules, parsed.rules.source
    digest = _digest(parsed)
    with transaction.atomic():
        _lock_imports()
        rows = PriceRow.objects.filter(book=book)
        latest = PriceListImport.objects.filter(book=book).order_by("-effective_at").first()
        if latest is not None:
            if latest.digest == digest:
                return ImportResult(source, 0, 0, rows.count())
            if latest.effective_at >= rules.effective_at:
                raise PriceListOutOfOrder(
                    f"{latest.source} took effect at {latest.effective_at.isoformat()}, so "
                    f"{source} cannot at {rules.effective_at.isoformat()}: give a later instant"
                )
        changes = price_changes(_prices(rows), parsed.prices, rules.effective_at)
        edition = PriceListImport.objects.create(
            book=book,
            source=source,
            rules=[provider.as_json() for provider in rules.providers],
            digest=digest,
            effective_at=rules.effective_at,
        )
        for id_, ends_at in changes.ended.items():
            PriceRow.objects.filter(id=id_).update(valid_to=ends_at)
        PriceRow.objects.bulk_create(
            [_row(book, price, edition) for price in changes.added], batch_size=1000
        )
    return ImportResult(source, len(changes.added), len(changes.ended), changes.unchanged)


_books: dict[tuple[str, str], tuple[tuple[int, int], PriceBook]] = {}


def load_book(book: str = GENAI_PRICES) -> PriceBook:
    """The book's prices as they stand: one small query while nothing was imported since the last
    call in this process, one more for rules and prices each when something was.

    Prices change only together with an import, so the newest import's number tells.
    """
    place = (str(connection.settings_dict["NAME"]), book)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(max(id), 0) FROM price_list_import WHERE book = %s", [book]
        )
        stamp = cursor.fetchone()
    cached = _books.get(place)
    if cached is not None and cached[0] == stamp:
        return cached[1]
    lists = [
        PriceList(
            edition.effective_at,
            edition.source,
            tuple(ListedProvider.from_json(provider) for provider in edition.rules),
        )
        for edition in PriceListImport.objects.filter(book=book)
    ]
    loaded = PriceBook(_prices(PriceRow.objects.filter(book=book)), lists)
    _books[place] = (stamp, loaded)
    return loaded


def _lock_imports() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_IMPORT_LOCK])


def _prices(rows: models.QuerySet[PriceRow]) -> list[Price]:
    """The rows that hold at some instant, as values."""
    holding = rows.filter(
        Q(valid_from=None) | Q(valid_to=None) | Q(valid_to__gt=F("valid_from"))
    ).select_related("opened_by")
    return [
        Price(
            id=row.id,
            provider=row.provider,
            model_id=row.model_id,
            unit_prices={
                unit: UnitPrice.from_json(price) for unit, price in row.unit_prices.items()
            },
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            currency=row.currency,
            conditions=Conditions.from_json(row.conditions),
            rank=row.rank,
            source=row.opened_by.source,
        )
        for row in holding.order_by("id").defer("opened_by__rules")
    ]


def changed_rows(ids: Collection[int]) -> list[PriceRow]:
    """Those of the rows that no longer say what they were stored with."""
    return [
        row
        for row in PriceRow.objects.filter(id__in=ids).order_by("id")
        if (row.conditions_digest, row.content_digest)
        != (digest_of(row.conditions), _content_digest(row))
    ]


def _content_digest(row: PriceRow) -> str:
    """Of all that never changes of a row, but for its conditions, which have a digest of their
    own."""
    return digest_of(
        [
            *(row.book, row.provider, row.model_id, row.unit_prices, row.currency, row.rank),
            *(row.valid_from, row.opened_by_id),
        ]
    )


def _row(book: str, price: Price, edition: PriceListImport) -> PriceRow:
    conditions = price.conditions.as_json()
    row = PriceRow(
        book=book,
        provider=price.provider,
        model_id=price.model_id,
        conditions=conditions,
        conditions_digest=digest_of(conditions),
        unit_prices=_unit_prices(price),
        currency=price.currency,
        rank=price.rank,
        valid_from=price.valid_from,
        valid_to=price.valid_to,
        opened_by=edition,
    )
    row.content_digest = _content_digest(row)
    return row


def _unit_prices(price: Price) -> dict[str, object]:
    return {unit: unit_price.as_json() for unit, unit_price in sorted(price.unit_prices.items())}


def _digest(parsed: ParsedList) -> str:
    """Of everything that the list says, but not of when it takes effect here."""
    prices: Iterable[object] = (
        [
            price.provider,
            price.model_id,
            price.conditions.as_json(),
            _unit_prices(price),
            [price.currency, price.rank, price.valid_from, price.valid_to],
        ]
        for price in parsed.prices
    )
    rules = [provider.as_json() for provider in parsed.rules.providers]
    return digest_of({"rules": rules, "prices": list(prices)})
