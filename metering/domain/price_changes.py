"""What a newer edition of a price list changes in the rows that are held, from a date on.

A list says nothing about the time before it takes effect: what was rated then was rated rightly by
what was known. Only of what no row was ever held for, its whole history is taken over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from metering.domain.prices import Price


class PriceChanges(NamedTuple):
    """Rows to add, the ends to set on held rows (by id), and how many rows stay as they are.

    An end is never later than the one that it replaces. A row that was announced and is taken
    back before it began ends where it would have started, so that it holds at no instant.
    """

    added: tuple[Price, ...]
    ended: dict[int, datetime]
    unchanged: int


def price_changes(
    held: Iterable[Price], listed: Iterable[Price], effective_at: datetime
) -> PriceChanges:
    """How the held rows become those of the list from `effective_at` (aware) on.

    What the list does not name any more ends there. `held` must be all rows that were ever held of
    this list and hold at some instant; their ids are what `ended` speaks of.
    """
    mine: dict[tuple[object, ...], list[Price]] = {}
    for row in held:
        mine.setdefault(row.identity, []).append(row)
    theirs: dict[tuple[object, ...], list[Price]] = {identity: [] for identity in mine}
    for row in listed:
        theirs.setdefault(row.identity, []).append(row)

    added: list[Price] = []
    ended: dict[int, datetime] = {}
    unchanged = 0
    for identity, rows in theirs.items():
        if identity not in mine:
            added += rows
            continue
        wanted = [later for row in rows if (later := _from(row, effective_at)) is not None]
        for row in sorted(mine[identity], key=_start):
            remaining = _from(row, effective_at)
            if remaining is None:
                unchanged += 1
                continue
            match = _continued(remaining, wanted)
            if match is None and (longer := _prolonged(remaining, wanted)) is not None:
                wanted[wanted.index(longer)] = replace(longer, valid_from=row.valid_to)
                unchanged += 1
                continue
            if match is None:
                assert remaining.valid_from is not None
                ended[row.id] = remaining.valid_from
                continue
            wanted.remove(match)
            if match.valid_to == row.valid_to:
                unchanged += 1
            else:
                assert match.valid_to is not None
                ended[row.id] = match.valid_to
        added += wanted
    return PriceChanges(tuple(added), ended, unchanged)


def _start(row: Price) -> datetime:
    return row.valid_from or datetime.min.replace(tzinfo=UTC)


def _from(row: Price, instant: datetime) -> Price | None:
    """The part of the row that holds from the instant on."""
    if row.valid_to is not None and row.valid_to <= instant:
        return None
    if row.valid_from is None or row.valid_from < instant:
        return replace(row, valid_from=instant)
    return row


def _continued(row: Price, wanted: Iterable[Price]) -> Price | None:
    """The listed row that says the same from the same instant, for as long or shorter."""
    for listed in wanted:
        if listed.valid_from != row.valid_from or listed.content != row.content:
            continue
        if row.valid_to is None or (
            listed.valid_to is not None and listed.valid_to <= row.valid_to
        ):
            return listed
    return None


def _prolonged(row: Price, wanted: Iterable[Price]) -> Price | None:
    """The listed row that says the same from the same instant, for longer: it goes on where the
    held one ends."""
    for listed in wanted:
        if listed.valid_from == row.valid_from and listed.content == row.content:
            assert row.valid_to is not None
            return listed
    return None
