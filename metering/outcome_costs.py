"""What the calls cost that an outcome says it came of, by their trace or request.

No index has traces or requests (each would cost every event that comes in), so they are looked for
in the time before the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.db import connection

from metering.domain.periods import Period
from metering.events import current
from metering.models import BusinessOutcome

LOOKS_BACK: Final = timedelta(days=2)
"""How long before an outcome its calls are looked for."""
_AFTER: Final = timedelta(hours=1)
"""Clocks differ, and an outcome may be told while its last call is still at work."""


@dataclass(frozen=True, slots=True)
class OutcomeCost:
    """The calls that count and what they should have cost, by currency; `unpriced` of them have
    no price. Nothing is divided where several outcomes came of the same calls."""

    calls: int
    unpriced: int
    cost: Mapping[str, Decimal]


def cost_of(outcome: BusinessOutcome) -> OutcomeCost | None:
    """Of the calls of its trace or request (and tenant, if it names one) in the two days before
    it; `None` where it names neither. A shared call is in it as a whole."""
    if not (outcome.trace_id or outcome.external_request_id):
        return None
    at = outcome.occurred_at
    events, parameters = current(Period(at - LOOKS_BACK, at + _AFTER))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT currency, count(*), count(*) FILTER (WHERE pricing = 'unpriced'),"
            f" coalesce(sum(cost), 0) FROM {events} e"
            " WHERE (trace_id = nullif(%(trace)s, '')"
            " OR external_request_id = nullif(%(request)s, ''))"
            " AND (%(tenant)s = '' OR tenant = %(tenant)s) GROUP BY 1 ORDER BY 1",
            parameters
            | {
                "trace": outcome.trace_id,
                "request": outcome.external_request_id,
                "tenant": outcome.tenant,
            },
        )
        found = list(cursor.fetchall())
    return OutcomeCost(
        calls=sum(calls for _, calls, _, _ in found),
        unpriced=sum(unpriced for _, _, unpriced, _ in found),
        cost={currency: cost for currency, _, _, cost in found},
    )
