"""What every import of prices comes to, and what all of them keep to: one at a time, no change by a
hundred times that nobody meant, rows that end before others are opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from django.db import connection

from metering.domain.contract_prices import ContractPrice
from metering.domain.money import plain
from metering.domain.price_changes import PriceChanges
from metering.domain.price_differences import LEAP, LEAST, MOST, Change, Leap
from metering.models.prices import PriceListImport, PriceRow
from metering.pricelists.parsed import Refused
from metering.pricing import catalogue

_IMPORT_LOCK: Final = 0x7072696365  # "price": one import at a time, whoever runs it
_SHOWN: Final = 5


class PriceListOutOfOrder(ValueError):
    """A list is to take effect before one that already did; the message names both instants."""


class UnconfirmedLeaps(ValueError):
    """Prices would change by more than a hundred times; the message names some of them, and how to
    confirm that they are meant."""


class ImportResult(NamedTuple):
    """What an import did (or would do): rows opened, rows that were given an end, rows left as
    they were; each change, and what of the list was refused. `commitments` says in words what a
    contract changes of what is owed for time; `leaps` need to be confirmed before it is done."""

    source: str
    added: int
    closed: int
    unchanged: int
    changes: tuple[Change, ...] = ()
    refused: tuple[Refused, ...] = ()
    commitments: tuple[str, ...] = ()
    leaps: tuple[Leap, ...] = ()


def wait_for_other_imports() -> None:
    """Until the caller's transaction ends, no other import changes anything."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_IMPORT_LOCK])


def distinct(found: Iterable[Leap]) -> tuple[Leap, ...]:
    """Each leap once, sorted."""
    return tuple(sorted(set(found)))


def refuse_leaps(found: Sequence[Leap]) -> None:
    """Raise `UnconfirmedLeaps` if there are any."""
    if found:
        raise UnconfirmedLeaps(
            f"{leaps_in_words(found)}. If that is meant, import with --confirm; --dry-run lists "
            "what would change"
        )


def leaps_in_words(found: Sequence[Leap]) -> str:
    """How many there are, and some of them."""
    prices = "1 price" if len(found) == 1 else f"{len(found)} prices"
    shown = "; ".join(str(leap) for leap in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    odd = any(not leap.before for leap in found)
    outside = f" or tokens cost nowhere ({plain(LEAST)} to {plain(MOST)} USD for a million)"
    return (
        f"{prices} would change by more than {LEAP} times{outside if odd else ''}, as if they were "
        f"now counted by another unit: {shown}{more}"
    )


def store(
    book: str, changes: PriceChanges, added: Iterable[ContractPrice], edition: PriceListImport
) -> None:
    """End the rows that end and open those that begin, in the caller's transaction."""
    for id_, ends_at in changes.ended.items():
        PriceRow.objects.filter(id=id_).update(valid_to=ends_at)
    catalogue.store_rows(book, added, edition)
