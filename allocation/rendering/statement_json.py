"""A statement for programs. Amounts and measures are decimal strings, never JSON numbers;
`*_minor` are integers of the currency's minor units."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any, Final

from allocation.domain.statements import Settlement, Statement, StatementLine
from metering.domain.money import EXACT, plain

SHARE_QUANTUM: Final = Decimal("1E-12")


def statement_value(statement: Statement) -> dict[str, Any]:
    """The statement as plain JSON values; `digest` is the statement's own."""
    return {
        "period": str(statement.period),
        "subject": {
            "kind": statement.subject.kind,
            "key": statement.subject.key,
            "name": statement.subject.name,
            "responsible": statement.subject.responsible,
        },
        "mode": statement.mode,
        "state": statement.state,
        "currency": statement.currency,
        "total_minor": statement.total_minor,
        "total": plain(statement.total),
        "exact": plain(statement.exact),
        "rounding": plain(statement.rounding),
        "direct": plain(statement.direct),
        "shared": plain(statement.shared),
        "whole_minor": statement.whole_minor,
        "unallocated_minor": statement.unallocated_minor,
        "unallocated_responsible": statement.unallocated_responsible,
        "unallocated": [
            {"pool": part.pool, "reason": part.reason, "amount": plain(part.amount)}
            for part in statement.unallocated
        ],
        "lines": [_line(line) for line in statement.lines],
        "settlements": [_settlement(settlement) for settlement in statement.settlements],
        "metered": {
            "currency": statement.metered.currency,
            "unpriced_models": list(statement.metered.unpriced_models),
            "features": [
                {"endpoint_tag": f.endpoint_tag, "metered_cost": plain(f.metered_cost)}
                for f in statement.metered.features
            ],
            "days": [
                {"day": d.day.isoformat(), "model": d.model, "metered_cost": plain(d.metered_cost)}
                for d in statement.metered.days
            ],
        },
        "previous": statement.previous
        and {
            "period": str(statement.previous.period),
            "total_minor": statement.previous.total_minor,
        },
        "run": {
            "number": statement.run.number,
            "digest": statement.run.digest,
            "inputs_digest": statement.run.inputs_digest,
            "author": statement.run.author,
            "rules": [rule._asdict() for rule in statement.run.rules],
        },
        "evidence": statement.evidence._asdict(),
        "digest": statement.digest,
    }


def share_text(line: StatementLine) -> str | None:
    """The line's share of its driver as a ratio with twelve decimals at most."""
    if line.share is None:
        return None
    with localcontext(EXACT):
        return plain(line.share.quantize(SHARE_QUANTUM))


def _line(line: StatementLine) -> dict[str, Any]:
    return {
        "bill": line.bill,
        "cost_centre": line.cost_centre,
        "tenant": line.tenant,
        "provider": line.provider,
        "model": line.model,
        "strategy": line.strategy,
        "pool": line.pool,
        "rule": line.rule,
        "basis": line.basis,
        "driver_value": None if line.driver_value is None else plain(line.driver_value),
        "driver_total": None if line.driver_total is None else plain(line.driver_total),
        "share": share_text(line),
        "amount": plain(line.amount),
    }


def _settlement(settlement: Settlement) -> dict[str, Any]:
    return {
        "bill": settlement.bill,
        "provider": settlement.provider,
        "cost_centre": settlement.cost_centre,
        "tenant": settlement.tenant,
        "exact": plain(settlement.exact),
        "amount_minor": settlement.amount_minor,
    }
