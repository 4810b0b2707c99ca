"""Taking prices over: public lists, contracts over them, our own; first what would change.

Everything here happens in one transaction under one lock, all of it or nothing. A new price ends
the old one at its date; what was rated before stays as it was rated until somebody re-rates an
open month (`revaluation`). What a list says that cannot be taken is kept with its edition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Final, NamedTuple

from django.db import IntegrityError, connection, transaction

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
from metering.domain.price_differences import Change, Leap, differences, leaps
from metering.domain.price_matching import ListedProvider
from metering.domain.prices import Price
from metering.models.prices import PriceListImport, PriceRow
from metering.pricelists.contract import parse_contract
from metering.pricelists.json_lists import read_json
from metering.pricelists.langfuse import is_langfuse, parse_langfuse
from metering.pricelists.litellm import is_litellm, parse_litellm
from metering.pricelists.parsed import ParsedList, Refused, UnreadablePriceList
from metering.pricing import catalogue, commitments
from metering.pricing.catalogue import CONTRACT, GENAI_PRICES, LANGFUSE, LITELLM, MANUAL, PUBLIC

_IMPORT_LOCK: Final = 0x7072696365  # "price": one import at a time, whoever runs it
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_SHOWN: Final = 5


class PriceListOutOfOrder(ValueError):
    """A list is to take effect before one that already did; the message names both instants."""


class UnconfirmedLeaps(ValueError):
    """Prices would change by more than a hundred times; the message names some of them, and how to
    confirm that they are meant."""


class ImportResult(NamedTuple):
    """What an import did (or would do): rows opened, rows that were given an end, rows left as
    they were; each change, and what of the list was refused. `commitments` says in words what a
    contract changes of what is owed for time."""

    source: str
    added: int
    closed: int
    unchanged: int
    changes: tuple[Change, ...] = ()
    refused: tuple[Refused, ...] = ()
    commitments: tuple[str, ...] = ()


def import_genai_prices(*, effective_at: datetime, **how: bool) -> ImportResult:
    """Take over the prices inside the installed `genai-prices` package, from `effective_at` on.

    The same edition again changes nothing, whatever the instant. Of a model and condition that had
    no price here, the list's whole dated history is taken; all others are as before until
    `effective_at` (aware) and as the list says from then on.

    Raises `PriceListOutOfOrder` if a different edition already took effect then or later, and
    `InvalidPrice` or `InvalidClause` if the list holds something that is not understood.
    """
    # A megabyte of literals and their types, for this one function.
    from genai_prices.data import providers

    from metering.pricelists.genai_prices import parse_genai_prices

    parsed = parse_genai_prices(
        providers,
        source=f"{GENAI_PRICES} {version('genai-prices')}",
        effective_at=effective_at,
    )
    return take_over(GENAI_PRICES, parsed, **how)


def import_file(text: str, name: str, *, effective_at: datetime, **how: bool) -> ImportResult:
    """Take over LiteLLM's or Langfuse's price file, or (as `manual`) one of our own.

    Which it is, its content says; `name` is the file's. As `import_genai_prices` for the rest.
    Raises `UnreadablePriceList` for a file that is none of them or is cut off.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return import_contract(text, name, book=MANUAL, now=effective_at, **how)
    value = read_json(text, name=name)
    if is_litellm(value):
        book, parse = LITELLM, parse_litellm
    elif is_langfuse(value):
        book, parse = LANGFUSE, parse_langfuse
    else:
        raise UnreadablePriceList(
            f"{name} is neither LiteLLM's price map nor Langfuse's price list, nor a CSV of our "
            "own: see manage.py help import_prices"
        )
    source = f"{book} {name} {digest_of(text)[:8]}"
    return take_over(book, parse(text, source=source, effective_at=effective_at), **how)


def take_over(
    book: str, parsed: ParsedList, *, confirmed: bool = False, dry_run: bool = False
) -> ImportResult:
    """Make the list the one of the book from its effective instant on (`import_genai_prices`).

    Models that were refused as a whole keep what the book has of them. With `dry_run` nothing is
    stored. Raises `UnconfirmedLeaps` unless `confirmed`.
    """
    rules, source = parsed.rules, parsed.rules.source
    digest = _digest(parsed)
    with transaction.atomic():
        _lock_imports()
        rows = PriceRow.objects.filter(book=book)
        latest = PriceListImport.objects.filter(book=book).order_by("-effective_at").first()
        if latest is not None:
            if latest.digest == digest:
                return ImportResult(source, 0, 0, rows.count(), refused=parsed.refused)
            if latest.effective_at >= rules.effective_at:
                raise PriceListOutOfOrder(
                    f"{latest.source} took effect at {latest.effective_at.isoformat()}, so "
                    f"{source} cannot at {rules.effective_at.isoformat()}: give a later instant"
                )
        kept = {(each.provider, each.model_id) for each in parsed.refused if each.whole}
        prices = catalogue.prices_of(rows)
        held = [price for price in prices if (price.provider, price.model_id) not in kept]
        changes = price_changes(held, parsed.prices, rules.effective_at)
        found = differences(held, changes)
        if not confirmed:
            _refuse_leaps(leaps(_pairs(found)))
        if not dry_run:
            providers = _with_kept(rules.providers, latest, kept)
            edition = PriceListImport.objects.create(
                book=book,
                source=source,
                rules=[provider.as_json() for provider in providers],
                refused=[each._asdict() for each in parsed.refused],
                digest=digest,
                effective_at=rules.effective_at,
            )
            _store(book, changes, [ContractPrice(price) for price in changes.added], edition)
            if book in PUBLIC:
                _follow(rules.effective_at)
    return ImportResult(
        source,
        len(changes.added),
        len(changes.ended),
        changes.unchanged + len(prices) - len(held),
        tuple(found),
        parsed.refused,
    )


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
        _lock_imports()
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
        if not confirmed:
            _refuse_leaps([*leaps(_pairs(found)), *leaps(_against_public(changes.added, public))])
        if not dry_run:
            edition = _open_contract(book, source, said, worked_out, changes, now)
            commitments.store(book, owed, edition)
    return ImportResult(
        source,
        len(changes.added),
        len(changes.ended),
        changes.unchanged,
        tuple(found),
        commitments=owed.words,
    )


def _lock_imports() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_IMPORT_LOCK])


def _pairs(found: Iterable[Change]) -> list[tuple[Price, Price]]:
    return [(each.before, each.after) for each in found if each.before and each.after]


def _refuse_leaps(found: Iterable[Leap]) -> None:
    every = sorted(found)
    if every:
        shown = "; ".join(str(leap) for leap in every[:_SHOWN])
        more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
        raise UnconfirmedLeaps(
            f"{len(every)} prices would change by more than 100 times, as if they were now counted "
            f"by another unit: {shown}{more}. If that is meant, import with --confirm"
        )


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


def _store(
    book: str, changes: PriceChanges, added: Iterable[ContractPrice], edition: PriceListImport
) -> None:
    for id_, ends_at in changes.ended.items():
        PriceRow.objects.filter(id=id_).update(valid_to=ends_at)
    catalogue.store_rows(book, added, edition)


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
            _store(book, changes, added, edition)
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


def _follow(now: datetime) -> None:
    """Have every contract follow what changed beneath it, from its own date on."""
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
