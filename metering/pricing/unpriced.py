"""What was used and has no price: the queue that somebody resolves, model by model.

A model leaves it by a price (a newer list, a contract, one of our own) or by an alias (the price
of another model holds for it), and by re-rating the open months it was used in: a price that comes
later changes nothing by itself.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from io import StringIO
from typing import Any, Final, NamedTuple

from django.db import connection

from metering.domain.periods import BUCKET, Month, Period
from metering.domain.price_book import PriceBook, PricedBy
from metering.domain.price_choice import Candidate, nearest
from metering.events import current
from metering.pricing import catalogue
from metering.pricing.price_imports import ImportResult, import_contract
from metering.pricing.rerating import rerate
from metering.pricing.revaluation import MonthClosed, Revalued
from metering.rollups import USAGE

_NO_PRICE: Final = ("unknown_model", "unknown_provider", "no_price_at_that_time")


class UnpricedModel(NamedTuple):
    """A model with usage that has no price. `months` says how many such events each UTC month has;
    `reason` is that of its latest one; `has_price_now`: re-rating would price it;
    `is_contradicted`: it has a price, and what was reported cannot be priced."""

    provider: str
    model: str
    events: int
    tokens: int
    first_at: datetime
    last_at: datetime
    months: tuple[tuple[Month, int], ...]
    reason: str
    has_price_now: bool
    is_contradicted: bool
    candidates: tuple[Candidate, ...]


def unpriced_models() -> list[UnpricedModel]:
    """The queue, what was used most first. Instants are the starts of quarters of an hour, UTC."""
    book = catalogue.load_book()
    lists = [edition for name in catalogue.books() for edition in catalogue.editions_of(name)[-1:]]
    found: dict[tuple[str, str], list[Any]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT provider, model_executed,"
            " to_char(bucket_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, sum(events)::bigint,"
            " sum(input_tokens + output_tokens)::bigint, min(bucket_at), max(bucket_at)"
            f" FROM {USAGE.relation()} cells WHERE pricing = 'unpriced'"
            " GROUP BY 1, 2, 3 HAVING sum(events) <> 0 ORDER BY 1, 2, 3"
        )
        for provider, model, *month in cursor:
            found.setdefault((provider, model), []).append(month)
    queue = []
    for (provider, model), months in found.items():
        last_at = max(last for *_, last in months)
        reason = _reason(provider, model, last_at)
        has_price = _has_price(book, provider, model, last_at)
        lacked_price = reason.partition("@")[0] in _NO_PRICE
        queue.append(
            UnpricedModel(
                provider,
                model,
                sum(events for _, events, *_ in months),
                sum(tokens for _, _, tokens, *_ in months),
                min(first for *_, first, _ in months),
                last_at,
                tuple((Month.parse(name), events) for name, events, *_ in months),
                reason,
                has_price and lacked_price,
                has_price and not lacked_price,
                () if has_price else tuple(nearest(provider, model, lists)),
            )
        )
    return sorted(queue, key=lambda each: (-each.events, each.provider, each.model))


def _has_price(book: PriceBook, provider: str, model: str, at: datetime) -> bool:
    return not isinstance(book.look_up(PricedBy(provider, model), at), str)


def _reason(provider: str, model: str, at: datetime) -> str:
    """Why one of the latest such events has no price."""
    events, parameters = current(Period(at, at + BUCKET))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT e.pricing_reason FROM {events} e WHERE e.pricing = 'unpriced'"
            " AND e.provider = %(provider)s AND coalesce(e.model_executed, e.model) = %(model)s"
            " ORDER BY e.occurred_at DESC, e.event_key LIMIT 1",
            {**parameters, "provider": provider, "model": model},
        )
        row = cursor.fetchone()
    return str(row[0]) if row and row[0] else ""


def price_as(
    provider: str,
    model: str,
    *,
    of_provider: str,
    of_model: str,
    since: date,
    now: datetime,
    confirmed: bool = False,
) -> ImportResult:
    """Let another model's price hold for this one from the UTC day on, as a price of our own.

    Raises `InvalidTerm` if no public list knows the other one, `UnreadablePriceList` for names that
    are none, and `UnconfirmedLeaps` unless `confirmed`.
    """
    return _import(
        ("price_of_provider", "price_of"),
        [(of_provider, of_model)],
        (provider, model, since),
        f"as {of_provider}/{of_model}",
        now,
        confirmed=confirmed,
    )


def price_at(
    provider: str,
    model: str,
    prices: Mapping[str, str],
    *,
    per: int,
    currency: str,
    since: date,
    now: datetime,
    confirmed: bool = False,
) -> ImportResult:
    """Let the model cost these prices for `per` of each unit (`input`, `output`, `web_search`; the
    names are those of `metering.pricelists.contract`), from the UTC day on.

    Raises `InvalidTerm` or `UnreadablePriceList`, which names what is no price, and
    `UnconfirmedLeaps` unless `confirmed`.
    """
    return _import(
        ("unit", "price", "per", "currency"),
        [(unit, price, str(per), currency) for unit, price in prices.items()],
        (provider, model, since),
        "at " + ", ".join(f"{price} for {per} {unit}" for unit, price in prices.items()),
        now,
        confirmed=confirmed,
    )


def _import(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    what: tuple[str, str, date],
    said: str,
    now: datetime,
    *,
    confirmed: bool,
) -> ImportResult:
    provider, model, since = what
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("provider", "model", "valid_from", *columns))
    writer.writerows((provider, model, since.isoformat(), *row) for row in rows)
    return import_contract(
        text.getvalue(),
        f"{provider}/{model} {said}",
        book=catalogue.MANUAL,
        now=now,
        confirmed=confirmed,
    )


class Rerated(NamedTuple):
    """What re-rating the months of a model came to: those that were open, and why each of the
    others stays as it is."""

    done: tuple[Revalued, ...]
    kept: tuple[tuple[Month, str], ...]


def rerate_model(each: UnpricedModel, *, author: str, reason: str, now: datetime) -> Rerated:
    """Rate the model's events anew in every month in which some had no price and that is open."""
    done, kept = [], []
    for month, _ in each.months:
        try:
            done.append(rerate(month, author=author, reason=reason, now=now, model=each.model))
        except MonthClosed as closed:
            kept.append((month, str(closed)))
    return Rerated(tuple(done), tuple(kept))
