"""A contract over public price lists: its terms, and the dated prices that they come to.

A term names a provider and a model (or all models that begin alike) for a time: a discount on the
public price, another model whose price holds, or prices of its own. What it comes to depends on
the public lists beneath, so it is worked out anew whenever one of them changes; the past of a
public price never changes, and so neither does what a contract came to.

Of the terms that bear on a model at an instant, the one that names it in full goes before those
that name a beginning, and of those the longer one; it then holds for the whole model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from metering.domain.contract_terms import Term
from metering.domain.money import EXACT
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import ALWAYS, Conditions, Price, UnitPrice
from metering.domain.unit_prices import Tier, Volume
from metering.domain.units import UNITS

_HUNDRED: Final = Decimal(100)
_ANY: Final = "*"


class PublicList(NamedTuple):
    """A public price list: every edition of its rules, and all its rows."""

    editions: Sequence[PriceList]
    prices: Sequence[Price]


class ContractPrice(NamedTuple):
    """A row that a contract comes to; of a discount, the public row beneath and the per cent."""

    price: Price
    derived_from: int | None = None
    discount_percent: Decimal | None = None


class ContractPrices(NamedTuple):
    """How a contract finds a model, its rows, and the terms that come to nothing (with why)."""

    providers: tuple[ListedProvider, ...]
    prices: tuple[ContractPrice, ...]
    idle: tuple[tuple[Term, str], ...]


class _Target(NamedTuple):
    """A model that terms bear on: how it is found, and the public rows beneath it."""

    provider: str
    model_id: str
    match: Clause
    rows: tuple[Price, ...]


def contract_prices(terms: Sequence[Term], public: Sequence[PublicList]) -> ContractPrices:
    """What the terms come to over the public lists, of which the first that knows a model is the
    one that counts."""
    claims: dict[tuple[str, str], list[tuple[Term, _Target]]] = {}
    idle = []
    for term in sorted(terms, key=_specificity):
        targets = list(_targets(term, public))
        if not targets:
            idle.append((term, "no public price list has such a model: check its name"))
        for target in targets:
            claims.setdefault((target.provider, target.model_id), []).append((term, target))
    prices: list[ContractPrice] = []
    providers: dict[str, list[ListedModel]] = {}
    for (provider, model_id), claimed in claims.items():
        providers.setdefault(provider, []).append(ListedModel(model_id, claimed[0][1].match))
        taken: list[tuple[datetime, datetime | None]] = []
        for term, target in claimed:
            for start, end in _free(term, taken):
                prices += _rows(term, target, start, end)
            taken.append((term.valid_from, term.valid_to))
    return ContractPrices(
        tuple(ListedProvider(name, tuple(models)) for name, models in providers.items()),
        tuple(sorted(prices, key=_order)),
        tuple(idle),
    )


def classes_left_out(
    terms: Iterable[Term], public: Sequence[PublicList]
) -> Iterator[tuple[Term, tuple[str, ...]]]:
    """The terms with prices of their own that leave out units which the public list prices apart
    for that model: nobody could say what those cost."""
    for term in terms:
        if term.own is None:
            continue
        named = next(prices for on, prices in term.own if on == ALWAYS)
        found = _public(term.provider, term.model.lower(), public)
        rows = found.rows if found is not None else ()
        families = _families(named)
        left_out = {
            unit
            for row in rows
            if not row.conditions.when
            for unit in row.unit_prices.keys() - named.keys()
            if UNITS[unit].family in families
        }
        if left_out:
            yield term, tuple(sorted(left_out))


def _specificity(term: Term) -> tuple[object, ...]:
    return (term.is_pattern, -len(term.model), term.key, term.valid_from)


def _order(row: ContractPrice) -> tuple[object, ...]:
    return (row.price.provider, row.price.model_id, row.price.rank, row.price.valid_from)


def _free(
    term: Term, taken: Iterable[tuple[datetime, datetime | None]]
) -> Iterator[tuple[datetime, datetime | None]]:
    """The parts of the term's time that no more specific one has."""
    start = term.valid_from
    for since, until in sorted(taken, key=lambda span: span[0]):
        if until is not None and until <= start:
            continue
        if term.valid_to is not None and since >= term.valid_to:
            break
        if since > start:
            yield start, since
        if until is None:
            return
        start = max(start, until)
    if term.valid_to is None or start < term.valid_to:
        yield start, term.valid_to


def _targets(term: Term, public: Sequence[PublicList]) -> Iterator[_Target]:
    if term.is_pattern:
        yield from _beginning_so(term, public)
        return
    name = term.model.lower()
    itself = _public(term.provider, name, public)
    base = itself if term.price_of is None else _public(*term.price_of, public)
    rows = base.rows if base is not None else ()
    if term.own is None and base is None:
        return
    if itself is not None:
        yield itself._replace(rows=rows)
    else:
        yield _Target(_listed_name(term.provider, public), name, Clause("equals", name), rows)


def _public(provider: str, model: str, public: Sequence[PublicList]) -> _Target | None:
    """The model of the first public list that finds one by these names, newest edition first."""
    for listed in public:
        for edition in reversed(listed.editions):
            found = edition.match(provider, model)
            if found is None:
                continue
            named = edition.provider_named(provider)
            owner = next(each for each in edition.providers if each.id == found.provider)
            clause = next(each.match for each in owner.models if each.id == found.model_id)
            rows = _rows_of(listed, found.provider, found.model_id, resold=found.resold)
            return _Target(named.id if named else found.provider, found.model_id, clause, rows)
    return None


def _beginning_so(term: Term, public: Sequence[PublicList]) -> Iterator[_Target]:
    """All models of the provider, and those that it sells on, whose id begins as the term says."""
    beginning = term.model.removesuffix(_ANY).lower()
    seen: set[str] = set()
    for listed in public:
        for edition in reversed(listed.editions):
            provider = edition.provider_named(term.provider)
            if provider is None:
                continue
            by_id = {each.id: each for each in edition.providers}
            sold_on = [by_id[name] for name in provider.fallbacks if name in by_id]
            for owner in (provider, *sold_on):
                for model in owner.models:
                    if model.id in seen or not model.id.lower().startswith(beginning):
                        continue
                    seen.add(model.id)
                    rows = _rows_of(listed, owner.id, model.id, resold=owner is not provider)
                    yield _Target(provider.id, model.id, model.match, rows)


def _rows_of(
    listed: PublicList, provider: str, model_id: str, *, resold: bool
) -> tuple[Price, ...]:
    return tuple(
        row
        for row in listed.prices
        if (row.provider, row.model_id) == (provider, model_id)
        and not (resold and row.conditions.when)
    )


def _listed_name(provider: str, public: Sequence[PublicList]) -> str:
    for listed in public:
        for edition in reversed(listed.editions):
            if (named := edition.provider_named(provider)) is not None:
                return named.id
    return provider.lower()


def _rows(
    term: Term, target: _Target, start: datetime, end: datetime | None
) -> Iterator[ContractPrice]:
    if term.own is not None:
        always = next(prices for on, prices in term.own if on == ALWAYS)
        for on, prices in term.own:
            # What holds at some hours, of all calls, holds alone then: it says everything.
            stated = prices if on.when else {**always, **prices}
            for since, until, besides in _besides(term, target, start, end, on):
                yield ContractPrice(
                    Price(
                        id=0,
                        provider=target.provider,
                        model_id=target.model_id,
                        unit_prices={**besides, **stated},
                        valid_from=since,
                        valid_to=until,
                        currency=term.currency,
                        conditions=on,
                        rank=len(on.when) + (on.window is not None),
                    )
                )
        return
    assert term.discount_percent is not None
    for row in target.rows:
        since = start if row.valid_from is None else max(start, row.valid_from)
        until = min((each for each in (end, row.valid_to) if each is not None), default=None)
        if until is not None and until <= since:
            continue
        price = replace(
            row,
            id=0,
            provider=target.provider,
            model_id=target.model_id,
            unit_prices={
                unit: discounted(price, term.discount_percent)
                for unit, price in row.unit_prices.items()
            },
            valid_from=since,
            valid_to=until,
            source="",
        )
        yield ContractPrice(price, row.id, term.discount_percent)


_Units = Mapping[str, UnitPrice]


def _families(units: Iterable[str]) -> set[str]:
    return {UNITS[unit].family for unit in units}


def _besides(
    term: Term, target: _Target, start: datetime, end: datetime | None, on: Conditions
) -> list[tuple[datetime, datetime | None, _Units]]:
    """The time cut where the public prices of other kinds of units change, which hold beside a
    contract's own standard prices."""
    assert term.own is not None
    families = _families(unit for _, prices in term.own for unit in prices)
    public = [
        row
        for row in target.rows
        if row.conditions == ALWAYS and row.currency == term.currency and not on.when
    ]
    edges = {edge for row in public for edge in (row.valid_from, row.valid_to) if edge is not None}
    starts = [start, *sorted(e for e in edges if e > start and (end is None or e < end))]
    spans: list[tuple[datetime, datetime | None, _Units]] = []
    for since, until in zip(starts, [*starts[1:], end], strict=True):
        held = next((row for row in public if row.holds_at(since)), None)
        units = held.unit_prices if held is not None else {}
        besides = {u: price for u, price in units.items() if UNITS[u].family not in families}
        if spans and spans[-1][2] == besides:
            spans[-1] = (spans[-1][0], until, besides)
        else:
            spans.append((since, until, besides))
    return spans


def discounted(price: UnitPrice, percent: Decimal) -> UnitPrice:
    """The price less so many per cent, exactly: with all its thresholds, and for the same units."""

    def less(amount: Decimal) -> Decimal:
        return EXACT.divide(EXACT.multiply(amount, EXACT.subtract(_HUNDRED, percent)), _HUNDRED)

    return replace(
        price,
        base=less(price.base),
        tiers=tuple(Tier(t.start, less(t.price), t.inclusive) for t in price.tiers),
        volumes=tuple(Volume(v.start, less(v.price)) for v in price.volumes),
    )
