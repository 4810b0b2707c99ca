"""Portions, and what was made of them, as bytes: what one worker leaves for another.

JSON, because a person can read it. Amounts are strings of decimals and come back digit for digit;
integers have no bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from allocation.domain.allocations import AllocatedLine
from allocation.domain.direct import DirectBasis
from allocation.domain.division import Readings
from allocation.domain.pools import (
    BillKey,
    DirectAmount,
    PooledAmount,
    Source,
    queries_of,
)
from allocation.domain.portions import Portion
from allocation.domain.rules import Pool
from metering.domain.cells import Cell, Owner
from metering.domain.drivers import DriverQuery


class Prepared(NamedTuple):
    """What was gathered for a run, but the portions themselves.

    `rule` is the name that was asked for; scales and providers stand by bill, in the run's order.
    """

    rule: str | None
    version_id: int
    usage: str
    digest: str
    queries: tuple[DriverQuery, ...]
    bills: tuple[tuple[BillKey, int, str], ...]
    sources: tuple[Source, ...]


class _Direct(NamedTuple):
    cell: Cell
    basis: str
    values: tuple[tuple[Owner, Decimal], ...]
    units: int


class _Pooled(NamedTuple):
    provider: str
    pool: Pool | None
    units: int


class _Portion(NamedTuple):
    bill: BillKey
    pool: str
    scale: int
    direct: tuple[_Direct, ...]
    pooled: tuple[_Pooled, ...]
    readings: tuple[tuple[DriverQuery, tuple[tuple[Owner, str, Decimal], ...]], ...]


_ENCODER: Final = msgspec.json.Encoder()
_PREPARED: Final = msgspec.json.Decoder(Prepared)
_PORTION: Final = msgspec.json.Decoder(_Portion)
_LINES: Final = msgspec.json.Decoder(tuple[AllocatedLine, ...])


def encode_prepared(prepared: Prepared) -> bytes:
    return _ENCODER.encode(prepared)


def decode_prepared(raw: bytes) -> Prepared:
    return _PREPARED.decode(raw)


def encode_portion(portion: Portion, readings: Readings) -> bytes:
    """The portion, with the readings that its own pools ask for."""
    asked = queries_of((p.provider, p.pool) for p in portion.pooled if p.pool is not None)
    return _ENCODER.encode(
        _Portion(
            portion.bill,
            portion.pool,
            portion.scale,
            tuple(
                _Direct(a.cell, a.basis.basis, tuple(a.basis.values.items()), a.units)
                for a in portion.direct
            ),
            tuple(_Pooled(p.provider, p.pool, p.units) for p in portion.pooled),
            tuple((query, _flat(readings[query])) for query in asked),
        )
    )


def decode_portion(raw: bytes) -> tuple[Portion, Readings]:
    """The inverse of `encode_portion`."""
    found = _PORTION.decode(raw)
    bill, pool = found.bill, found.pool
    portion = Portion(
        bill,
        pool,
        found.scale,
        tuple(
            DirectAmount(bill, a.cell, pool, DirectBasis(a.basis, dict(a.values)), a.units)
            for a in found.direct
        ),
        tuple(PooledAmount(bill, p.provider, p.pool, p.units) for p in found.pooled),
    )
    readings = {
        query: {(owner, key): value for owner, key, value in values}
        for query, values in found.readings
    }
    return portion, readings


def encode_lines(lines: Sequence[AllocatedLine]) -> bytes:
    return _ENCODER.encode(lines)


def decode_lines(raw: Iterable[bytes]) -> list[tuple[AllocatedLine, ...]]:
    """The lines of each portion, in the portions' order."""
    return [_LINES.decode(one) for one in raw]


def _flat(
    reading: Mapping[tuple[Owner, str], Decimal],
) -> tuple[tuple[Owner, str, Decimal], ...]:
    return tuple((owner, key, value) for (owner, key), value in reading.items())
