"""Draft invoices: what a cycle's usage comes to, stored as rows, and computed again.

A draft and its recomputation are the same computation on the same inputs: the invoice's own plan
version and cycle, and the usage as metering reads it now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import prefetch_related_objects

from billing.domain.charges import Charged, NegativeUsage, Uncharged, charge
from billing.domain.cycles import Cycle
from billing.domain.invoicing import Settled, line_content, settle_lines
from billing.evidence import Case, LineEvidence, gather
from billing.models import Invoice, InvoiceLine, InvoiceLinePart, PlanVersion, Subscription
from metering.charged_usage import charged_usages
from metering.domain.digests import digest_of
from metering.domain.periods import Period

LineContent = dict[str, Any]
OF_LINES: Final = "lines__parts"
"""What `stored_lines` reads of an invoice."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What one tenant owes for one cycle by one version of a plan."""

    tenant: str
    cycle: Cycle
    plan_version: PlanVersion
    charged: Charged
    settled: Settled
    evidence: dict[str, LineEvidence]

    @property
    def inputs_digest(self) -> str:
        """Covers the terms, the cycle, what was metered by use, and the events under it."""
        period = self.cycle.period
        return digest_of(
            {
                "tenant": self.tenant,
                "plan": self.plan_version.digest,
                "cycle": [period.start, period.end, self.cycle.days, self.cycle.full_days],
                "usage": {
                    m.charge.code: [[*use, quantity] for use, quantity in m.uses.items()]
                    for m in self.charged.metered
                },
                "evidence": {code: [e.count, e.digest] for code, e in self.evidence.items()},
            }
        )

    @property
    def lines(self) -> list[LineContent]:
        """The lines as they are owed, each with its evidence."""
        return [
            {**line_content(x), "evidence": self._evidence_of(x.line.charge_code).content()}
            for x in self.settled.lines
        ]

    @property
    def outputs_digest(self) -> str:
        return lines_digest(self.settled.currency, self.settled.total_minor, self.lines)

    def _evidence_of(self, charge_code: str) -> LineEvidence:
        return self.evidence.get(charge_code, LineEvidence())


class Due(NamedTuple):
    """A cycle of a tenant, and the version of its plan that it is charged by."""

    tenant: str
    cycle: Cycle
    plan_version: PlanVersion

    @property
    def whose(self) -> tuple[str, Period]:
        """Whose usage of which period it is charged for."""
        return self.tenant, self.cycle.period


def draft(cycles: Sequence[Due]) -> list[Draft | NegativeUsage]:
    """Charge the tenants' usage of their cycles, with one reading of usage and one of evidence;
    a cycle whose usage is below zero gives that error instead.

    Call it in one snapshot of the database, so that usage and evidence are of the same instant.
    """
    usage = charged_usages([due.whose for due in cycles])
    cases: list[Case] = []
    failed: dict[int, NegativeUsage] = {}
    for i, due in enumerate(cycles):
        plan, lines = due.plan_version.terms, usage[due.whose]
        try:
            cases.append(Case(*due.whose, plan, lines, charge(lines, plan, due.cycle)))
        except NegativeUsage as error:
            failed[i] = error
    gathered = iter(zip(cases, gather(cases), strict=True))
    return [
        failed[i] if i in failed else _draft(due, *next(gathered)) for i, due in enumerate(cycles)
    ]


def uncharged(cycles: Sequence[Due]) -> list[tuple[Uncharged, ...]]:
    """What the tenants' plans leave uncharged of their cycles, as `draft` says it too. Raises
    `NegativeUsage`."""
    usage = charged_usages([due.whose for due in cycles])
    return [charge(usage[due.whose], due.plan_version.terms, due.cycle).uncharged for due in cycles]


def _draft(due: Due, case: Case, evidence: dict[str, LineEvidence]) -> Draft:
    settled = settle_lines(case.charged.lines, case.plan.currency)
    return Draft(due.tenant, due.cycle, due.plan_version, case.charged, settled, evidence)


def store(
    made: Draft,
    subscription: Subscription,
    *,
    author: str,
    now: datetime,
    replaces: Invoice | None = None,
) -> Invoice:
    """Write the draft as an invoice with its lines and their parts, in the caller's transaction."""
    cycle, period = made.cycle, made.cycle.period
    invoice = Invoice.objects.create(
        tenant=made.tenant,
        subscription=subscription,
        plan_version=made.plan_version,
        cycle_start=period.start,
        cycle_end=period.end,
        first_day=cycle.first_day,
        end_day=cycle.end_day,
        full_days=cycle.full_days,
        zone=cycle.zone,
        currency=made.settled.currency,
        total_minor=made.settled.total_minor,
        inputs_digest=made.inputs_digest,
        outputs_digest=made.outputs_digest,
        author=author,
        created_at=now,
        replaces=replaces,
    )
    rows = InvoiceLine.objects.bulk_create(
        InvoiceLine(
            invoice=invoice,
            position=position,
            **{key: content[key] for key in _LINE_FIELDS},
            evidence_selections=content["evidence"]["selections"],
            evidence_count=content["evidence"]["count"],
            evidence_digest=content["evidence"]["digest"],
        )
        for position, content in enumerate(made.lines, start=1)
    )
    InvoiceLinePart.objects.bulk_create(
        InvoiceLinePart(
            line=row,
            model=part.use.model,
            endpoint_tag=part.use.endpoint_tag,
            quantity=part.quantity,
            amount=part.amount,
        )
        for row, settled in zip(rows, made.settled.lines, strict=True)
        for part in settled.line.parts
    )
    return invoice


def recompute(invoice: Invoice) -> tuple[list[LineContent], str]:
    """One invoice's `recompute_all`."""
    return recompute_all([invoice])[0]


def recompute_all(invoices: Sequence[Invoice]) -> list[tuple[list[LineContent], str]]:
    """The invoices' lines computed again from what metering reads now, by the terms they were
    drafted by, and their digest: equal to `stored_lines` and `outputs_digest` if nothing changed.

    Raises `NegativeUsage`.
    """
    again: list[tuple[list[LineContent], str]] = []
    for made in draft([Due(x.tenant, _cycle(x), x.plan_version) for x in invoices]):
        if isinstance(made, NegativeUsage):
            raise made
        again.append((made.lines, made.outputs_digest))
    return again


def _cycle(invoice: Invoice) -> Cycle:
    return Cycle(invoice.first_day, invoice.end_day, invoice.zone, invoice.full_days)


def stored_lines(invoice: Invoice) -> tuple[list[LineContent], str]:
    """The invoice's lines as its rows hold them, and their digest: another one than the
    `outputs_digest` it was drafted with if a row was tampered with. Who reads many prefetches
    `OF_LINES` of them."""
    prefetch_related_objects([invoice], OF_LINES)
    lines = [
        {
            **{key: getattr(row, key) for key in _LINE_FIELDS},
            "parts": [
                [part.model, part.endpoint_tag, part.quantity, part.amount]
                for part in sorted(row.parts.all(), key=lambda p: (p.model, p.endpoint_tag))
            ],
            "evidence": {
                "selections": row.evidence_selections,
                "count": row.evidence_count,
                "digest": row.evidence_digest,
            },
        }
        for row in sorted(invoice.lines.all(), key=lambda row: row.position)
    ]
    return lines, lines_digest(invoice.currency, invoice.total_minor, lines)


def line_ids(invoice_ids: Iterable[int]) -> dict[int, list[int]]:
    """The rows' ids of each invoice's lines, in their order: what evidence is exported by."""
    ids: dict[int, list[int]] = {}
    rows = InvoiceLine.objects.filter(invoice_id__in=list(invoice_ids))
    for invoice_id, line_id in rows.order_by("position").values_list("invoice_id", "id"):
        ids.setdefault(invoice_id, []).append(line_id)
    return ids


def lines_digest(currency: str, total_minor: int, lines: list[LineContent]) -> str:
    """Hex SHA-256 of an invoice's lines as they are owed."""
    return digest_of({"currency": currency, "total_minor": total_minor, "lines": lines})


_LINE_FIELDS = (
    "kind",
    "charge_code",
    "description",
    "unit",
    "quantity",
    "unit_price",
    "per",
    "amount",
    "amount_minor",
)
