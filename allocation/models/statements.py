"""Statements as they were issued: what each cost centre was told it bears."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q

from allocation.models.periods import OF_ITS_RUN, open_month_only, permanent
from metering.domain.money import from_minor
from metering.fields import ExactField


class Statement(models.Model):
    """One cost centre's part of a run in one currency, issued once and never changed.

    `exact` is the sum of the lines, `amount_minor` the settled total. `events` and
    `events_digest` name the raw events beneath as they were on issue; `digest` covers all that
    the statement asserts (`allocation.domain.statements.Statement.digest`).
    """

    run = models.ForeignKey(
        "allocation.AllocationRun", on_delete=models.PROTECT, related_name="statements"
    )
    cost_centre = models.TextField()
    currency = models.CharField(max_length=3)
    mode = models.TextField()
    name = models.TextField()
    responsible = models.TextField(blank=True)
    exact = ExactField()
    amount_minor = models.BigIntegerField()
    events = models.BigIntegerField()
    events_digest = models.TextField()
    digest = models.TextField()
    issued_at = models.DateTimeField()

    class Meta:
        db_table = "statement"
        ordering = ["run_id", "cost_centre", "currency"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "cost_centre", "currency"], name="one_statement_a_cost_centre"
            ),
            models.CheckConstraint(
                condition=Q(mode__in=["showback", "chargeback"]), name="statement_mode_known"
            ),
        ]
        triggers = [
            permanent("statement_is_permanent"),
            open_month_only(OF_ITS_RUN),
            pgtrigger.Trigger(
                name="statement_is_what_was_settled",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="""
                    IF NOT EXISTS (
                        SELECT 1 FROM allocation_settlement
                        WHERE run_id = NEW.run_id AND cost_centre = NEW.cost_centre
                          AND currency = NEW.currency
                        HAVING sum(amount_minor) = NEW.amount_minor AND sum(exact) = NEW.exact
                    ) THEN
                        RAISE EXCEPTION 'the statement of % is not what the run settled',
                            NEW.cost_centre
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cost_centre}: {from_minor(self.amount_minor, self.currency)} {self.currency}"
