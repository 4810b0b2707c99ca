"""Reconciliations: how a month's bills differ from the metering, and why. Written once.

The rows of a reconciliation are written before the reconciliation itself. When its own row
arrives, the database follows every waterfall from metered cost to bill and refuses one that does
not close.
"""

from __future__ import annotations

from typing import Final

import pgtrigger
from django.db import models
from django.db.models import Q

from allocation.domain.variances import CAUSES
from allocation.models.periods import open_month_only, permanent
from metering.fields import ExactField

_CLOSES: Final = """
    WITH result AS (
        SELECT * FROM reconciliation_result WHERE reconciliation_id = NEW.id
    ), step AS (
        SELECT result_id, cause, amount FROM reconciliation_step
        JOIN result ON result.id = result_id
        UNION ALL SELECT id, 'matched', matched FROM result
    ), evidence AS (
        SELECT result_id, cause, sum(amount) AS amount FROM reconciliation_evidence
        JOIN result ON result.id = result_id GROUP BY 1, 2
    )
    SELECT format('%s in %s: %s', provider, currency, broken) INTO failure FROM (
        SELECT id AS result_id, 'the causes do not lead to the bill' AS broken FROM result
        WHERE bill IS NOT NULL AND bill <> metered + (
            SELECT coalesce(sum(amount), 0) FROM step
            WHERE step.result_id = result.id AND cause <> 'matched'
        )
        UNION ALL
        SELECT result_id, format('the evidence of %s is not its amount', cause)
        FROM step FULL JOIN evidence USING (result_id, cause)
        WHERE coalesce(step.amount, 0) <> coalesce(evidence.amount, 0)
           OR (step.cause IS NULL AND evidence.cause IS NOT NULL)
    ) AS found JOIN result ON result.id = found.result_id LIMIT 1;
    IF failure IS NOT NULL THEN
        RAISE EXCEPTION 'the reconciliation of % does not close: %', NEW.month, failure
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
"""


def _written_once(table: str, column: str, reconciliation: str) -> list[pgtrigger.Trigger]:
    """Rows that are complete with their reconciliation, and stay as they are."""
    return [
        permanent(f"{table}_is_permanent"),
        pgtrigger.Trigger(
            name=f"{table}_joins_no_finished_one",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Insert,
            referencing=pgtrigger.Referencing(new="written_rows"),  # type: ignore[no-untyped-call]
            func=f"""
                IF EXISTS (
                    SELECT 1 FROM (SELECT DISTINCT {column} FROM written_rows) AS written
                    JOIN reconciliation ON reconciliation.id = {reconciliation}
                ) THEN
                    RAISE EXCEPTION 'a finished reconciliation takes no more rows in %',
                        TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
                END IF;
                RETURN NULL;
            """,
        ),
    ]


_OF_RESULT: Final = (
    "(SELECT reconciliation_id FROM reconciliation_result"
    " WHERE reconciliation_result.id = written.result_id)"
)


class Reconciliation(models.Model):
    """One comparison of a month's bills with its metering, from known inputs.

    `inputs_digest` covers every bill line and every metered cell; the same inputs are never
    reconciled twice. `outputs_digest` covers every step and its evidence, in canonical order.
    """

    month = models.TextField()
    number = models.PositiveIntegerField()
    inputs_digest = models.CharField(max_length=64)
    outputs_digest = models.CharField(max_length=64)
    reconciled_at = models.DateTimeField()

    class Meta:
        db_table = "reconciliation"
        ordering = ["month", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["month", "number"], name="reconciliation_number_once_a_month"
            ),
            models.UniqueConstraint(
                fields=["month", "inputs_digest"], name="same_inputs_reconciled_once"
            ),
            models.CheckConstraint(
                condition=Q(month__regex=r"^\d{4}-(0[1-9]|1[0-2])$"),
                name="reconciliation_is_of_a_month",
            ),
        ]
        triggers = [
            permanent("reconciliation_is_permanent"),
            open_month_only("{row}.month"),
            pgtrigger.Trigger(
                name="reconciliation_closes",
                level=pgtrigger.Row,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                declare=[("failure", "TEXT")],
                func=_CLOSES,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month} reconciliation {self.number}"


class ReconciliationResult(models.Model):
    """One provider's waterfall, in the bill's currency; fields as in `domain.waterfall`.

    `bill` is null where the provider sent none: then there is nothing to explain, and no step.
    `unexplained_owner` is the person who answers for what stays unexplained.
    """

    reconciliation = models.ForeignKey(
        Reconciliation, on_delete=models.PROTECT, related_name="results", db_index=False
    )
    provider = models.TextField()
    currency = models.CharField(max_length=3, blank=True)
    metered = ExactField()
    matched = ExactField()
    bill = ExactField(null=True, blank=True)  # type: ignore[misc]
    unpriced_quantity = ExactField()
    rounding_mean = ExactField(null=True, blank=True)  # type: ignore[misc]
    unexplained_owner = models.TextField(blank=True)

    class Meta:
        db_table = "reconciliation_result"
        ordering = ["reconciliation_id", "provider", "currency"]
        constraints = [
            models.UniqueConstraint(
                fields=["reconciliation", "provider", "currency"],
                name="provider_reconciled_once",
            )
        ]
        triggers = _written_once(
            "reconciliation_result", "reconciliation_id", "written.reconciliation_id"
        )

    def __str__(self) -> str:
        return f"{self.provider}: {self.metered} to {self.bill} {self.currency}"


class ReconciliationStep(models.Model):
    """One cause of a difference, with its signed amount; every cause has a row."""

    result = models.ForeignKey(
        ReconciliationResult, on_delete=models.PROTECT, related_name="steps", db_index=False
    )
    position = models.PositiveSmallIntegerField()
    cause = models.TextField()
    amount = ExactField()

    class Meta:
        db_table = "reconciliation_step"
        ordering = ["result_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["result", "position"], name="step_position_once"),
            models.UniqueConstraint(fields=["result", "cause"], name="cause_once_a_waterfall"),
            models.CheckConstraint(condition=Q(cause__in=list(CAUSES)), name="cause_known"),
        ]
        triggers = _written_once("reconciliation_step", "result_id", _OF_RESULT)

    def __str__(self) -> str:
        return f"{self.cause}: {self.amount}"


class ReconciliationEvidence(models.Model):
    """What one group of bill lines and metered cells contributes to one cause (or to `matched`).

    Parts of the cell that the group's members do not share are `""`. `bill_lines` lists
    `[bill, line]`. `number` counts a result's evidence in canonical order, from 1.
    """

    id = models.BigAutoField(primary_key=True)
    result = models.ForeignKey(
        ReconciliationResult, on_delete=models.PROTECT, related_name="evidence", db_index=False
    )
    number = models.PositiveIntegerField()
    cause = models.TextField()
    amount = ExactField()
    project = models.TextField(blank=True)
    day = models.DateField()
    model = models.TextField(blank=True)
    token_class = models.TextField(blank=True)
    tier = models.TextField(blank=True)
    matching = models.TextField()
    billed = ExactField()
    metered = ExactField()
    billed_quantity = ExactField(null=True, blank=True)  # type: ignore[misc]
    metered_quantity = ExactField()
    quantity = ExactField(null=True, blank=True)  # type: ignore[misc]
    bill_lines = models.JSONField()
    note = models.TextField(blank=True)

    class Meta:
        db_table = "reconciliation_evidence"
        ordering = ["result_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["result", "number"], name="evidence_number_once"),
        ]
        triggers = _written_once("reconciliation_evidence", "result_id", _OF_RESULT)

    def __str__(self) -> str:
        return f"{self.cause}: {self.amount} on {self.day}"
