"""Budgets as rows: which holds in a month, and what was spent of it.

Cost is read from the usage rollup, folded and tail in one snapshot, so it is exact to the last
committed call. Real calls of all environments count; test and demo data does not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final, cast

from django.db import connection
from django.db.models import F, Q, QuerySet

from metering.domain.budgets import Book, Budget, Spending, Standing
from metering.domain.periods import Month, Period
from metering.models.budgets import BudgetRow
from metering.rollups import USAGE, on_buckets

_COLUMNS: Final = {"source": "source", "tenant": "tenant", "cost_centre": "cost_centre"}

Reader = Callable[[Budget, datetime], Spending]


def in_force(month: Month) -> QuerySet[BudgetRow]:
    """The budgets that hold in the month."""
    first = month.first_day()
    return BudgetRow.objects.filter(
        Q(valid_to=None) | Q(valid_to__gt=first) & Q(valid_to__gt=F("valid_from")),
        valid_from__lte=first,
    )


def of_sender(source: str, tenant: str | None, month: Month) -> Budget | None:
    """The cost budget that a sender is told of: its source's own, else that of everything; a
    sender for one tenant is told of that tenant's only."""
    of_cost = in_force(month).filter(book="cost", cost_centre=None)
    if tenant is not None:
        row = of_cost.filter(tenant=tenant).first()
    else:
        row = of_cost.filter(tenant=None, source__in=["", source]).order_by("-source").first()
    return None if row is None else value_of(row)


def value_of(row: BudgetRow) -> Budget:
    """The budget that a row says."""
    scope, key = next(
        (
            (scope, key)
            for scope, key in (
                ("tenant", row.tenant_id),
                ("cost_centre", row.cost_centre_id),
                ("source", row.source),
            )
            if key
        ),
        ("everything", ""),
    )
    return Budget(
        scope=scope,  # type: ignore[arg-type]  # one of the names above
        key=key,
        book=cast("Book", row.book),  # a check of the table
        amount=row.amount,
        currency=row.currency,
        warn_share=row.warn_share,
    )


def standing(budget: Budget, at: datetime) -> Standing:
    """Where the budget stands in the month of the (aware) instant."""
    return Standing(budget, _READERS[budget.book](budget, at))


def cost_spent(budget: Budget, period: Period) -> Spending:
    """What the calls of the budget's owner should have cost in the period, which must lie on
    15-minute buckets. A tenant's or cost centre's part of shared calls is in it."""
    whose, parameters = "", []
    if budget.scope != "everything":
        whose, parameters = f" AND {_COLUMNS[budget.scope]} = %s", [budget.key]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT currency, pricing = 'unpriced', sum(events)::bigint,"
            " sum(input_tokens + output_tokens)::bigint, sum(cost)"
            f" FROM {USAGE.relation()} cells WHERE data_mode = 'real'"
            f" AND bucket_at >= %s AND bucket_at < %s{whose} GROUP BY 1, 2 ORDER BY 1, 2",
            [*on_buckets(period), *parameters],
        )
        rows = list(cursor.fetchall())
    spent: dict[str, Decimal] = {}
    for currency, _, _, _, cost in rows:
        spent[currency] = spent.get(currency, Decimal(0)) + cost
    known = spent.pop(budget.currency, Decimal(0))
    return Spending(
        period=period,
        known=known,
        unpriced_calls=sum(calls for _, unpriced, calls, _, _ in rows if unpriced),
        unpriced_tokens=sum(tokens for _, unpriced, _, tokens, _ in rows if unpriced),
        elsewhere={currency: cost for currency, cost in spent.items() if cost},
    )


def _cost_of_the_month(budget: Budget, at: datetime) -> Spending:
    return cost_spent(budget, Month.of(at).period)


_READERS: Final[dict[Book, Reader]] = {"cost": _cost_of_the_month}


def read_by(book: Book, reader: Reader) -> None:
    """Have a book's spend read by whoever knows it: what tenants are charged is not known here."""
    _READERS[book] = reader
