"""Taking a contract over, or prices of our own: its terms, and the rows that they come to over the
public lists as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction

from metering.domain.contract_prices import (
    ContractPrice,
    ContractPrices,
    PublicList,
    classes_left_out,
    contract_prices,
)
from metering.domain.contract_terms import InvalidTerm, Term, terms_in_force
from metering.domain.digests import digest_of
from metering.domain.price_changes import PriceChanges, price_changes
from metering.domain.price_differences import Leap, differences, leaps, successions, unlikely
from metering.domain.prices import Price
from metering.models.prices import PriceListImport, PriceRow
from metering.pricelists.contract import parse_contract
from metering.pricelists.parsed import Refused
from metering.pricing import catalogue, commitments
from metering.pricing.catalogue import CONTRACT, MANUAL, PUBLIC
from metering.pricing.import_results import (
    ImportResult,
    distinct,
    refuse_leaps,
    store,
    wait_for_other_imports,
)

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


def import_contract(
    text: str,
    name: str,
    *,
    book: str,
    now: datetime,
    confirmed: bool = False,
    dry_run: bool = False,
) -> ImportResult:
    """Take over a contract (or our own prices) as `pricelists.contract` describes it.

    The same file again changes nothing. What it changes of the past is listed like everything
    else; months that are closed stay as they are whatever it says. Raises `UnreadablePriceList`
    and `InvalidTerm`, naming the place, and `UnconfirmedLeaps`; nothing is stored then.
    """
    terms, committed = parse_contract(text)
    said = [*(term.as_json() for term in terms), *(each.as_json() for each in committed)]
    source = f"{book} {name}"
    with transaction.atomic():
        wait_for_other_imports()
        before = PriceListImport.objects.filter(book=book).exclude(terms=[])
        newest = before.order_by("-effective_at").first()
        rows = PriceRow.objects.filter(book=book)
        if newest is not None and newest.terms == said:
            return ImportResult(source, 0, 0, rows.count())
        public = _public()
        for term, units in classes_left_out(terms, public):
            raise InvalidTerm(
                f"{term.place}: the public list prices {', '.join(units)} apart and the contract "
                "does not: state their prices too"
            )
        in_force = terms_in_force([*_terms(before), terms])
        worked_out = contract_prices(in_force, public)
        for term, why in worked_out.idle:
            if term in terms:
                raise InvalidTerm(f"{term.place}: {why}")
        held = catalogue.prices_of(rows)
        changes = _contract_changes(held, worked_out)
        found = differences(held, changes)
        owed = commitments.changes(book, committed)
        pairs = [*successions(held, changes), *_against_public(changes.added, public)]
        leaping = () if confirmed else distinct([*leaps(pairs), *_odd(changes.added, pairs)])
        if not dry_run:
            refuse_leaps(leaping)
            edition = _open_contract(book, source, said, worked_out, changes, now)
            commitments.store(book, owed, edition)
    return ImportResult(
        source,
        len(changes.added),
        len(changes.ended),
        changes.unchanged,
        tuple(found),
        commitments=owed.words,
        leaps=leaping,
    )


def follow_public_lists(now: datetime) -> None:
    """Have every contract follow what changed beneath it, from its own date on, in the caller's
    transaction."""
    for book in catalogue.books():
        if book != MANUAL and not book.startswith(CONTRACT):
            continue
        editions = PriceListImport.objects.filter(book=book)
        worked_out = contract_prices(terms_in_force(_terms(editions)), _public())
        held = catalogue.prices_of(PriceRow.objects.filter(book=book))
        changes = _contract_changes(held, worked_out)
        newest = editions.order_by("-effective_at").first()
        assert newest is not None
        rules = [provider.as_json() for provider in worked_out.providers]
        if changes.added or changes.ended or rules != newest.rules:
            source = newest.source.partition(" over ")[0]
            beneath = " and ".join(
                PriceListImport.objects.filter(book=each).latest("effective_at").source
                for each in catalogue.books()
                if each in PUBLIC
            )
            _open_contract(book, f"{source} over {beneath}", [], worked_out, changes, now)


def _public() -> list[PublicList]:
    return [
        PublicList(
            catalogue.editions_of(book), catalogue.prices_of(PriceRow.objects.filter(book=book))
        )
        for book in catalogue.books()
        if book in PUBLIC
    ]


def _terms(editions: Iterable[PriceListImport]) -> list[list[Term]]:
    ordered = sorted(editions, key=lambda edition: edition.effective_at)
    return [
        [Term.from_json(said) for said in edition.terms if "kind" not in said]
        for edition in ordered
    ]


def _contract_changes(held: Sequence[Price], worked_out: ContractPrices) -> PriceChanges:
    return price_changes(held, [each.price for each in worked_out.prices], _BEGINNING)


def _against_public(
    added: Iterable[Price], public: Sequence[PublicList]
) -> list[tuple[Price, Price]]:
    """Each standard price, with the public one of the same model: a contract that is a hundred
    times off counts by another unit."""
    by_model = {
        (row.provider, row.model_id): row
        for listed in reversed(public)
        for row in listed.prices
        if not row.conditions.when and row.conditions.window is None
    }
    return [
        (by_model[row.provider, row.model_id], row)
        for row in added
        if not row.conditions.when and (row.provider, row.model_id) in by_model
    ]


def _odd(added: Iterable[Price], pairs: Iterable[tuple[Price, Price]]) -> Iterator[Leap]:
    """What the prices say of tokens that is said nowhere, of models that they are held against
    nothing for."""
    compared = {(after.provider, after.model_id) for _, after in pairs}
    for row in added:
        if (row.provider, row.model_id) not in compared:
            yield from unlikely(row)


def _open_contract(
    book: str,
    source: str,
    terms: Sequence[object],
    worked_out: ContractPrices,
    changes: PriceChanges,
    now: datetime,
) -> PriceListImport:
    latest = PriceListImport.objects.filter(book=book).order_by("-effective_at").first()
    after = latest.effective_at + timedelta(microseconds=1) if latest is not None else now
    rules = [provider.as_json() for provider in worked_out.providers]
    edition = PriceListImport.objects.create(
        book=book,
        source=source,
        rules=rules,
        terms=list(terms),
        refused=[
            Refused(term.provider, term.model, "term", why)._asdict()
            for term, why in worked_out.idle
        ],
        digest=digest_of({"rules": rules, "terms": list(terms)}),
        effective_at=max(now, after),
    )
    basis = {_content(each.price): each for each in worked_out.prices}
    added = [
        basis.get(_content(price), ContractPrice(price))._replace(price=price)
        for price in changes.added
    ]
    try:
        with transaction.atomic():
            store(book, changes, added, edition)
    except IntegrityError as error:
        if "one_contract_prices_a_model_at_a_time" not in str(error):
            raise
        raise InvalidTerm(
            f"{source}: another contract already prices one of these models at that time; end its "
            f"term first ({str(error).strip().splitlines()[-1].strip()})"
        ) from error
    return edition


def _content(price: Price) -> tuple[object, ...]:
    return (price.identity, price.content, price.valid_to)
