"""Allocation runs: what was divided, how, and what everyone bears. Written once, never edited.

A run's rows are written before the run itself. When the run's own row arrives, the database adds
everything up and refuses a run that does not conserve; from then on no row can join it.
"""

from __future__ import annotations

from typing import Final

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from allocation.models.periods import open_month_only
from allocation.models.rules import RuleVersion
from metering.fields import ExactField

_CONSERVED = """
    WITH bill AS (
        SELECT * FROM allocation_bill WHERE run_id = NEW.id
    ), line AS (
        SELECT bill_id, currency, cost_centre, tenant, strategy = 'rounding' AS rounding,
               sum(amount) AS amount
        FROM allocation_line WHERE run_id = NEW.id GROUP BY 1, 2, 3, 4, 5
    ), lines AS (
        SELECT bill_id, currency, sum(amount) AS payable,
               coalesce(sum(amount) FILTER (WHERE NOT rounding), 0) AS exact
        FROM line GROUP BY 1, 2
    ), source AS (
        SELECT bill_id, currency, sum(amount) AS exact
        FROM allocation_source WHERE run_id = NEW.id GROUP BY 1, 2
    ), settlement AS (
        SELECT * FROM allocation_settlement WHERE run_id = NEW.id
    ), settled AS (
        SELECT bill_id, currency, sum(exact) AS exact, sum(amount_minor) AS minor
        FROM settlement GROUP BY 1, 2
    )
    SELECT format('bill %s: %s', bill_id, broken) INTO failure FROM (
        SELECT bill_id, 'its payable total is not its minor units' AS broken FROM bill
        WHERE payable * power(10::numeric, minor_digits) <> payable_minor
        UNION ALL
        SELECT bill_id, 'its sources are not its exact total'
        FROM bill FULL JOIN source USING (bill_id, currency)
        WHERE bill.run_id IS NULL OR bill.exact <> coalesce(source.exact, 0)
        UNION ALL
        SELECT bill_id, 'its lines do not add up to it'
        FROM bill FULL JOIN lines USING (bill_id, currency)
        WHERE bill.run_id IS NULL OR bill.exact <> coalesce(lines.exact, 0)
           OR bill.payable <> coalesce(lines.payable, 0)
        UNION ALL
        SELECT bill_id, 'its settlements do not add up to it'
        FROM bill FULL JOIN settled USING (bill_id, currency)
        WHERE bill.run_id IS NULL OR bill.exact <> coalesce(settled.exact, 0)
           OR bill.payable_minor <> coalesce(settled.minor, 0)
        UNION ALL
        SELECT bill_id, format('the lines of %s/%s are not its settlement', cost_centre, tenant)
        FROM settlement
        FULL JOIN (SELECT * FROM line WHERE NOT rounding) AS owned
            USING (bill_id, currency, cost_centre, tenant)
        WHERE coalesce(settlement.exact, 0) <> coalesce(owned.amount, 0)
        UNION ALL
        SELECT bill_id, format('%s/%s is settled a unit or more from exact', cost_centre, tenant)
        FROM settlement JOIN bill USING (bill_id, currency)
        WHERE abs(settlement.exact * power(10::numeric, minor_digits) - amount_minor) >= 1
    ) AS found LIMIT 1;
    IF failure IS NOT NULL THEN
        RAISE EXCEPTION 'allocation run % of % does not conserve: %', NEW.number, NEW.month, failure
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
"""

_JOINS_NO_FINISHED_RUN = """
    IF EXISTS (
        SELECT 1 FROM (SELECT DISTINCT run_id FROM written_rows) AS written
        JOIN allocation_run ON allocation_run.id = written.run_id
    ) THEN
        RAISE EXCEPTION 'a finished allocation run takes no more rows in %', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
"""


def _written_once(table: str) -> list[pgtrigger.Trigger]:
    """Rows that are complete with their run, and stay as they are."""
    return [
        pgtrigger.Protect(
            name=f"{table}_is_permanent", operation=pgtrigger.Update | pgtrigger.Delete
        ),
        pgtrigger.Trigger(
            name=f"{table}_joins_no_finished_run",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Insert,
            referencing=pgtrigger.Referencing(new="written_rows"),  # type: ignore[no-untyped-call]
            func=_JOINS_NO_FINISHED_RUN,
        ),
    ]


TRANSITIONS: Final = [
    ("draft", "approved"),
    ("draft", "superseded"),
    ("approved", "draft"),
    ("approved", "superseded"),
    ("approved", "closed"),
    ("closed", "approved"),
]
"""An approval may be withdrawn, a close reopened; a run that was superseded stays so."""


class AllocationRun(models.Model):
    """One division of a month's bills, by one rule, from known inputs.

    `inputs_digest` covers usage, bills, rule and drivers; `outputs_digest` every line and
    settlement in canonical order. Of a month only one run is not superseded.
    """

    class State(models.TextChoices):
        DRAFT = "draft"
        APPROVED = "approved"
        CLOSED = "closed"
        SUPERSEDED = "superseded"

    month = models.TextField()
    number = models.PositiveIntegerField()
    state = models.TextField(choices=State.choices, default=State.DRAFT)
    author = models.TextField()
    rule_version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT)
    usage_digest = models.TextField()
    inputs_digest = models.TextField()
    outputs_digest = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "allocation_run"
        ordering = ["month", "number"]
        permissions = [("approve_allocationrun", "Can approve another person's run")]
        constraints = [
            models.UniqueConstraint(fields=["month", "number"], name="run_number_once_a_month"),
            models.UniqueConstraint(
                fields=["month"], condition=~Q(state="superseded"), name="one_run_of_a_month_counts"
            ),
            models.CheckConstraint(
                condition=Q(month__regex=r"^\d{4}-(0[1-9]|1[0-2])$"), name="run_is_of_a_month"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "approved", "closed", "superseded"]),
                name="run_state_known",
            ),
        ]
        triggers = [
            open_month_only("{row}.month"),
            pgtrigger.ReadOnly(name="run_only_changes_state", exclude=["state"]),
            pgtrigger.FSM(name="run_state_moves", field="state", transitions=TRANSITIONS),
            pgtrigger.Protect(name="run_is_never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="run_conserves",
                level=pgtrigger.Row,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                declare=[("failure", "TEXT")],
                func=_CONSERVED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month} run {self.number} ({self.state})"


class AllocationBill(models.Model):
    """A bill in a run: its lines' exact sum, what that is payable for, and how fine it was
    divided (in units of 10^-`scale`)."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(AllocationRun, on_delete=models.PROTECT, related_name="bills")
    bill_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    provider = models.TextField()
    exact = ExactField()
    payable = ExactField()
    payable_minor = models.BigIntegerField()
    minor_digits = models.PositiveSmallIntegerField()
    scale = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "allocation_bill"
        constraints = [
            models.UniqueConstraint(
                fields=["run", "bill_id", "currency"], name="bill_once_in_a_run"
            )
        ]
        triggers = _written_once("allocation_bill")

    def __str__(self) -> str:
        return f"bill {self.bill_id}: {self.payable} {self.currency}"


class AllocationSource(models.Model):
    """Which pool took which line of a bill: the way back from a share to the provider's bill."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(
        AllocationRun, on_delete=models.PROTECT, related_name="sources", db_index=False
    )
    bill_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    line_no = models.PositiveIntegerField()
    pool = models.TextField()
    amount = ExactField()

    class Meta:
        db_table = "allocation_source"
        constraints = [
            models.UniqueConstraint(
                fields=["run", "bill_id", "line_no"], name="bill_line_once_in_a_run"
            )
        ]
        triggers = _written_once("allocation_source")

    def __str__(self) -> str:
        return f"bill {self.bill_id}, line {self.line_no}: {self.pool}"


class AllocationLine(models.Model):
    """One owner's part of one amount. `number` counts a run's lines in canonical order, from 1.

    Fields as in `allocation.domain.allocations.AllocatedLine`. `cost_centre` is `""` only on the
    line of a bill's own rounding.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(
        AllocationRun, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    number = models.PositiveIntegerField()
    bill_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    provider = models.TextField()
    project = models.TextField(blank=True)
    day = models.DateField(null=True, blank=True)
    model = models.TextField(blank=True)
    token_class = models.TextField(blank=True)
    tier = models.TextField(blank=True)
    pool = models.TextField()
    strategy = models.TextField()
    cost_centre = models.TextField(blank=True)
    tenant = models.TextField(blank=True)
    driver_key = models.TextField(blank=True)
    basis = models.TextField()
    basis_value = ExactField(null=True, blank=True)  # type: ignore[misc]
    basis_total = ExactField(null=True, blank=True)  # type: ignore[misc]
    weight = ExactField(null=True, blank=True)  # type: ignore[misc]
    amount = ExactField()
    rounding_units = models.SmallIntegerField()

    class Meta:
        db_table = "allocation_line"
        ordering = ["run_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="line_number_once_in_a_run"),
            models.CheckConstraint(
                condition=Q(cost_centre="", strategy="rounding")
                | (~Q(cost_centre="") & ~Q(strategy="rounding")),
                name="only_rounding_has_no_owner",
            ),
            models.CheckConstraint(
                condition=Q(rounding_units__range=(-1, 1)), name="line_rounded_by_one_unit_at_most"
            ),
        ]
        triggers = _written_once("allocation_line")

    def __str__(self) -> str:
        return f"line {self.number}: {self.amount} {self.currency} to {self.cost_centre}"


class AllocationSettlement(models.Model):
    """What one owner bears of one bill: the exact sum of its lines, and the money made of it."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(
        AllocationRun, on_delete=models.PROTECT, related_name="settlements", db_index=False
    )
    bill_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    cost_centre = models.TextField()
    tenant = models.TextField(blank=True)
    exact = ExactField()
    amount_minor = models.BigIntegerField()
    rounding_units = models.SmallIntegerField()

    class Meta:
        db_table = "allocation_settlement"
        constraints = [
            models.UniqueConstraint(
                fields=["run", "bill_id", "currency", "cost_centre", "tenant"],
                name="owner_settled_once_a_bill",
            ),
            models.CheckConstraint(condition=~Q(cost_centre=""), name="settlement_has_an_owner"),
        ]
        triggers = _written_once("allocation_settlement")

    def __str__(self) -> str:
        return f"{self.cost_centre}/{self.tenant}: {self.amount_minor} {self.currency}"
