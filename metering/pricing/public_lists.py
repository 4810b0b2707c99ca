"""Taking a public price list over: its newest edition ends what it no longer says, at its date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import QuerySet

from metering.domain.contract_prices import ContractPrice
from metering.domain.digests import digest_of
from metering.domain.money import plain
from metering.domain.price_changes import price_changes
from metering.domain.price_differences import (
    LEAST,
    MOST,
    Leap,
    differences,
    leaps,
    successions,
    unlikely,
)
from metering.domain.price_matching import ListedProvider
from metering.domain.prices import Price
from metering.models.prices import PriceListImport, PriceRow
from metering.pricelists.parsed import ParsedList, Refused, readable
from metering.pricing import catalogue
from metering.pricing.catalogue import PUBLIC
from metering.pricing.contract_imports import follow_public_lists
from metering.pricing.import_results import (
    ImportResult,
    PriceListOutOfOrder,
    distinct,
    refuse_leaps,
    store,
    wait_for_other_imports,
)


def take_over(
    book: str, parsed: ParsedList, *, confirmed: bool = False, dry_run: bool = False
) -> ImportResult:
    """Make the list the one of the book from its effective instant on (`import_genai_prices`).

    Models that were refused as a whole keep what the book has of them. Refused are also, unless
    `confirmed`, those that no list had before and whose tokens would cost what none cost anywhere.
    With `dry_run` nothing is stored, and the leaps are told. Raises `UnconfirmedLeaps` unless
    `confirmed`.
    """
    source = parsed.rules.source
    with transaction.atomic():
        wait_for_other_imports()
        rows = _rows(book)
        prices = catalogue.prices_of(rows)
        beside = list(_beside(book, parsed, prices))
        if not confirmed:
            parsed = _likely(parsed, [*prices, *(new for _, new in beside)])
        rules, digest = parsed.rules, _digest(parsed)
        refused = tuple(readable(each) for each in parsed.refused)
        latest = PriceListImport.objects.filter(book=book).order_by("-effective_at").first()
        if latest is not None:
            if latest.digest == digest:
                return ImportResult(source, 0, 0, len(prices), refused=refused)
            if latest.effective_at >= rules.effective_at:
                raise PriceListOutOfOrder(
                    f"{latest.source} took effect at {latest.effective_at.isoformat()}, so "
                    f"{source} cannot at {rules.effective_at.isoformat()}: give a later instant"
                )
        kept = {(each.provider, each.model_id) for each in parsed.refused if each.whole}
        held = [price for price in prices if (price.provider, price.model_id) not in kept]
        changes = price_changes(held, parsed.prices, rules.effective_at)
        found = differences(held, changes)
        pairs = [*successions(prices, changes), *beside]
        leaping = () if confirmed else distinct(leaps(pairs))
        if not dry_run:
            refuse_leaps(leaping)
        if not dry_run:
            providers = _with_kept(rules.providers, latest, kept)
            edition = PriceListImport.objects.create(
                book=book,
                source=source,
                rules=[provider.as_json() for provider in providers],
                refused=[each._asdict() for each in refused],
                digest=digest,
                effective_at=rules.effective_at,
            )
            store(book, changes, [ContractPrice(price) for price in changes.added], edition)
            if book in PUBLIC:
                follow_public_lists(rules.effective_at)
    return ImportResult(
        source,
        len(changes.added),
        len(changes.ended),
        changes.unchanged + len(prices) - len(held),
        tuple(found),
        refused,
        leaps=leaping,
    )


def _likely(parsed: ParsedList, known: Iterable[Price]) -> ParsedList:
    """The list without the models that are not known and have an unlikely price: a list of
    thousands is not kept back for a slip in one, and the slip prices nothing."""
    compared = {(row.provider, row.model_id) for row in known}
    odd: dict[tuple[str, str], Leap] = {}
    for row in parsed.prices:
        model = (row.provider, row.model_id)
        for found in unlikely(row) if model not in compared else ():
            odd.setdefault(model, found)
    if not odd:
        return parsed
    providers = tuple(
        replace(each, models=tuple(m for m in each.models if (each.id, m.id) not in odd))
        for each in parsed.rules.providers
    )
    why = f"tokens cost {plain(LEAST)} to {plain(MOST)} USD everywhere: --confirm if it is meant"
    refused = [
        Refused(*model, found.unit, f"at {plain(found.after)} for a million; {why}", whole=True)
        for model, found in odd.items()
    ]
    return ParsedList(
        replace(parsed.rules, providers=providers),
        tuple(row for row in parsed.prices if (row.provider, row.model_id) not in odd),
        (*parsed.refused, *refused),
    )


def _beside(book: str, parsed: ParsedList, held: Iterable[Price]) -> Iterator[tuple[Price, Price]]:
    """The list's standard prices beside those that the other public lists have of the same model.
    Of what a list prices for the first time nothing of its own tells that it counts by another
    unit; the lists agree to within a hundred times on every model that they share."""
    if book not in PUBLIC:
        return
    known = {(row.provider, row.model_id) for row in _plain(held)}
    new = [row for row in _plain(parsed.prices) if (row.provider, row.model_id) not in known]
    for other in PUBLIC if new else ():
        editions = catalogue.editions_of(other)[-1:] if other != book else []
        for edition in editions:
            theirs = {
                (row.provider, row.model_id): row
                for row in _plain(catalogue.prices_of(_rows(other)))
            }
            for row in new:
                found = edition.match(row.provider, row.model_id)
                before = theirs.get((found.provider, found.model_id)) if found else None
                if before is not None:
                    yield before, row


def _rows(book: str) -> QuerySet[PriceRow]:
    return PriceRow.objects.filter(book=book)


def _plain(prices: Iterable[Price]) -> Iterator[Price]:
    return (row for row in prices if not row.conditions.when and row.conditions.window is None)


def _with_kept(
    providers: Sequence[ListedProvider],
    latest: PriceListImport | None,
    kept: set[tuple[str, str]],
) -> list[ListedProvider]:
    """The list's providers, with the models that keep the price they had found as they were."""
    by_id = {provider.id: provider for provider in providers}
    for said in latest.rules if latest is not None else ():
        old = ListedProvider.from_json(said)
        staying = tuple(model for model in old.models if (old.id, model.id) in kept)
        if staying:
            now = by_id.get(old.id) or ListedProvider(
                old.id, (), old.provider_match, old.model_match, old.fallbacks
            )
            by_id[old.id] = ListedProvider(
                now.id,
                (*now.models, *staying),
                now.provider_match,
                now.model_match,
                now.fallbacks,
            )
    return list(by_id.values())


def _digest(parsed: ParsedList) -> str:
    """Of everything that the list says, but not of when it takes effect here."""
    prices: Iterable[object] = (
        [
            price.provider,
            price.model_id,
            price.conditions.as_json(),
            catalogue.unit_prices_json(price),
            [price.currency, price.rank, price.valid_from, price.valid_to],
        ]
        for price in parsed.prices
    )
    rules = [provider.as_json() for provider in parsed.rules.providers]
    return digest_of({"rules": rules, "prices": list(prices)})
