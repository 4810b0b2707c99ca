"""The catalogue of prices as rows: the books that events are rated with, and what they rest on.

A *book* is one list of prices: a public one, our own (`manual`), or a contract
(`contract:NAME`). For a call the first of them that has a price is asked: contracts, then our own,
then the public lists in the order of `PUBLIC`, of which the next that prices all that the call
used stands in for one that does not (`rated_events`). How books are filled is in `price_imports`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from threading import RLock
from typing import Final

import msgspec
from django.db import connection, models
from django.db.models import F, Q

from metering import bulk
from metering.domain.contract_prices import ContractPrice
from metering.domain.digests import digest_of
from metering.domain.layered_prices import LayeredPriceBook
from metering.domain.money import plain
from metering.domain.price_book import PriceBook
from metering.domain.price_matching import ListedProvider, PriceList
from metering.domain.prices import Conditions, Price, UnitPrice
from metering.models.prices import PriceListImport, PriceRow

GENAI_PRICES: Final = "genai-prices"
LITELLM: Final = "litellm"
LANGFUSE: Final = "langfuse"
PUBLIC: Final = (GENAI_PRICES, LITELLM, LANGFUSE)
"""The public lists, the one that goes before the others first."""
MANUAL: Final = "manual"
"""Our own prices and aliases, for what no list knows."""
CONTRACT: Final = "contract:"
"""What the name of a contract's book begins with."""

_Place = tuple[str, str | None]
_books: dict[_Place, tuple[tuple[int, int], PriceBook]] = {}
_reading: Final = RLock()


def is_empty() -> bool:
    """Whether no price list has ever been taken over."""
    return not PriceListImport.objects.exists()


def digest() -> str:
    """Hex SHA-256 of all price lists that were ever taken over: what events are rated with."""
    taken = PriceListImport.objects.order_by("id").values_list("book", "digest", "effective_at")
    return digest_of([list(row) for row in taken])


def books() -> list[str]:
    """The books that there are and that events are rated with, in the order they are asked in."""
    found = set(PriceListImport.objects.values_list("book", flat=True).distinct())
    contracts = sorted(book for book in found if book.startswith(CONTRACT))
    return [*contracts, *(book for book in (MANUAL, *PUBLIC) if book in found)]


def load_book(book: str | None = None) -> PriceBook:
    """The prices that events are rated with as they stand, or those of one book alone.

    One small query while nothing was imported since the last call in this process. Prices change
    only together with an import, so the newest import's number tells. An import into one book
    leaves the others as they were read.
    """
    place = (str(connection.settings_dict["NAME"]), book)
    imports = PriceListImport.objects.all() if book is None else _imports(book)
    numbers = list(imports.order_by("id").values_list("id", flat=True))
    stamp = (len(numbers), numbers[-1] if numbers else 0)
    cached = _books.get(place)
    if cached is not None and cached[0] == stamp:
        return cached[1]
    # One thread reads them (of all books those of each), and those that need them meanwhile wait.
    with _reading:
        cached = _books.get(place)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        loaded = _layers() if book is None else _alone(book)
        _books[place] = (stamp, loaded)
        return loaded


def _layers() -> PriceBook:
    layers = [(book, load_book(book)) for book in books()]
    if not layers:
        return PriceBook((), ())
    return layers[0][1] if len(layers) == 1 else LayeredPriceBook(layers, lists=PUBLIC)


def _alone(book: str) -> PriceBook:
    return PriceBook(prices_of(PriceRow.objects.filter(book=book)), editions_of(book))


def _imports(book: str) -> models.QuerySet[PriceListImport]:
    return PriceListImport.objects.filter(book=book).order_by("effective_at")


def editions_of(book: str) -> list[PriceList]:
    """How each edition of the book finds a model. A contract's last one says it for all times: a
    contract is worked out anew as a whole."""
    imports = list(_imports(book))
    is_ours = book == MANUAL or book.startswith(CONTRACT)
    return [
        PriceList(
            edition.effective_at,
            edition.source,
            tuple(ListedProvider.from_json(provider) for provider in edition.rules),
        )
        for edition in (imports[-1:] if is_ours else imports)
    ]


def prices_of(rows: models.QuerySet[PriceRow]) -> list[Price]:
    """The rows that hold at some instant, as values."""
    holding = rows.filter(
        Q(valid_from=None) | Q(valid_to=None) | Q(valid_to__gt=F("valid_from"))
    ).select_related("opened_by")
    return [
        price_of(row)
        for row in holding.order_by("id").defer("opened_by__rules", "opened_by__terms")
    ]


def price_of(row: PriceRow) -> Price:
    """The row as a value. Raises `InvalidPrice` for one that holds at no instant."""
    return Price(
        id=row.id,
        provider=row.provider,
        model_id=row.model_id,
        unit_prices={unit: UnitPrice.from_json(price) for unit, price in row.unit_prices.items()},
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        currency=row.currency,
        conditions=Conditions.from_json(row.conditions),
        rank=row.rank,
        source=row.opened_by.source,
    )


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
    discount = row.discount_percent
    basis = [] if discount is None else [row.derived_from_id, plain(Decimal(discount))]
    return digest_of(
        [
            *(row.book, row.provider, row.model_id, row.unit_prices, row.currency, row.rank),
            *(row.valid_from, row.opened_by_id),
            *basis,
        ]
    )


def store_rows(book: str, prices: Iterable[ContractPrice], edition: PriceListImport) -> None:
    """Open rows for the prices in the caller's transaction."""
    with (
        connection.wrap_database_errors,
        bulk.cursor() as cursor,
        cursor.copy(f"COPY price_row ({', '.join(_STORED)}) FROM STDIN") as copy,
    ):
        for price in prices:
            row = _row(book, price, edition)
            copy.write_row([_as_copied(getattr(row, name)) for name in _STORED])


_STORED: Final = (
    "book",
    "provider",
    "model_id",
    "conditions",
    "conditions_digest",
    "unit_prices",
    "currency",
    "rank",
    "content_digest",
    "valid_from",
    "valid_to",
    "opened_by_id",
    "derived_from_id",
    "discount_percent",
)
"""All columns but the number, which the database gives."""


def _as_copied(value: object) -> object:
    return _json(value).decode() if isinstance(value, dict | list) else value


_json: Final = msgspec.json.Encoder().encode


def _row(book: str, from_: ContractPrice, edition: PriceListImport) -> PriceRow:
    price = from_.price
    conditions = price.conditions.as_json()
    row = PriceRow(
        book=book,
        provider=price.provider,
        model_id=price.model_id,
        conditions=conditions,
        conditions_digest=digest_of(conditions),
        unit_prices=unit_prices_json(price),
        currency=price.currency,
        rank=price.rank,
        valid_from=price.valid_from,
        valid_to=price.valid_to,
        opened_by=edition,
        derived_from_id=from_.derived_from,
        discount_percent=from_.discount_percent,
    )
    row.content_digest = _content_digest(row)
    return row


def unit_prices_json(price: Price) -> dict[str, object]:
    """What the row says of its units, in their alphabetical order."""
    return {unit: unit_price.as_json() for unit, unit_price in sorted(price.unit_prices.items())}
