"""Closed months: who closed what, who reopened it, and the triggers that hold a closed month shut.

A month is closed if it has a close that was not reopened. Both are rows that are only ever added,
so that the history of a month is the audit of it. Every table whose rows belong to a month carries
`open_month_only`; the application's role can no more write into a closed month by SQL than the
application itself can.
"""

from __future__ import annotations

from typing import Final

import pgtrigger
from django.db import models
from django.db.models import F, Q

from allocation.period_locks import MONTH_LOCK

IS_CLOSED: Final = """
    SELECT 1 FROM period_close
    WHERE period_close.month = {month} AND NOT EXISTS (
        SELECT 1 FROM period_reopening WHERE period_reopening.close_id = period_close.id
    )
"""


def open_month_only(month: str) -> pgtrigger.Trigger:
    """Refuse every row that is written into, moved out of or taken from a closed month.

    `month` is SQL for the row's month as text (`2026-10`), with `{row}` where the row stands, as
    in `{row}.month`; where it is null the row belongs to no month yet. The writer shares the
    month's lock, so that a close in progress ends first.
    """
    return pgtrigger.Trigger(
        name="month_is_open",
        level=pgtrigger.Row,
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        declare=[("months", "TEXT[]"), ("written", "TEXT")],
        func=f"""
            IF TG_OP <> 'INSERT' THEN
                months := months || ARRAY[({month.format(row="OLD")})];
            END IF;
            IF TG_OP <> 'DELETE' THEN
                months := months || ARRAY[({month.format(row="NEW")})];
            END IF;
            FOREACH written IN ARRAY months LOOP
                CONTINUE WHEN written IS NULL;
                PERFORM pg_advisory_xact_lock_shared(
                    {MONTH_LOCK}, replace(written, '-', '')::integer
                );
                IF EXISTS ({IS_CLOSED.format(month="written")}) THEN
                    RAISE EXCEPTION '% is closed: % refuses to change', written, TG_TABLE_NAME
                        USING ERRCODE = 'integrity_constraint_violation',
                              HINT = 'reopen the month, or correct it in the next open one';
                END IF;
            END LOOP;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )


OF_ITS_RUN: Final = (
    "SELECT allocation_run.month FROM allocation_run WHERE allocation_run.id = {row}.run_id"
)


def permanent(name: str) -> pgtrigger.Trigger:
    """Rows that are added and never changed or taken away."""
    return pgtrigger.Protect(name=name, operation=pgtrigger.Update | pgtrigger.Delete)


class RunApproval(models.Model):
    """A person other than the author agreed with a run, as its digest says it was."""

    run = models.OneToOneField(
        "allocation.AllocationRun", on_delete=models.PROTECT, related_name="approval"
    )
    approved_by = models.TextField()
    approved_at = models.DateTimeField()
    outputs_digest = models.TextField()

    class Meta:
        db_table = "run_approval"
        constraints = [
            models.CheckConstraint(condition=~Q(approved_by=""), name="approval_is_by_somebody"),
        ]
        triggers = [
            permanent("approval_is_permanent"),
            open_month_only(OF_ITS_RUN),
            pgtrigger.Trigger(
                name="approver_is_not_the_author",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="""
                    IF EXISTS (
                        SELECT 1 FROM allocation_run WHERE allocation_run.id = NEW.run_id
                        AND (author = NEW.approved_by OR outputs_digest <> NEW.outputs_digest)
                    ) THEN
                        RAISE EXCEPTION 'a run is approved as it is, by another than its author'
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"approved by {self.approved_by}"


class PeriodClose(models.Model):
    """A month was closed on one run, with two signatures and the digests of what was closed.

    `sequence` counts a month's closes from 1. `totals` lists `{currency, amount_minor}` of the
    payable bills, `answers` the four questions as they were answered. The author of the run and
    who approved it are two people; either may have closed. A run without an author was made by
    the program: then who approved it and who closed are two people. `seals` are the roots that
    the month was sealed with, by book.
    """

    month = models.TextField()
    sequence = models.PositiveSmallIntegerField()
    run = models.ForeignKey(
        "allocation.AllocationRun", on_delete=models.PROTECT, related_name="closes"
    )
    prepared_by = models.TextField()
    approved_by = models.TextField()
    closed_by = models.TextField()
    closed_at = models.DateTimeField()
    run_digest = models.TextField()
    inputs_digest = models.TextField()
    usage_digest = models.TextField()
    totals = models.JSONField()
    answers = models.JSONField()
    seals = models.JSONField(default=dict)

    class Meta:
        db_table = "period_close"
        ordering = ["month", "sequence"]
        permissions = [
            ("close_period", "Can close a month"),
            ("reopen_period", "Can reopen a month that another person closed"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["month", "sequence"], name="close_number_once_a_month"),
            models.CheckConstraint(
                condition=~Q(approved_by=F("prepared_by")), name="close_has_two_signatures"
            ),
            models.CheckConstraint(
                condition=~Q(closed_by="") & ~Q(approved_by=""), name="close_is_by_somebody"
            ),
            models.CheckConstraint(
                condition=~Q(prepared_by="") | ~Q(closed_by=F("approved_by")),
                name="close_without_an_author_is_by_another",
            ),
        ]
        triggers = [
            permanent("close_is_permanent"),
            pgtrigger.Trigger(
                name="only_an_open_month_closes",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("closes", "INTEGER")],
                func=f"""
                    PERFORM pg_advisory_xact_lock(
                        {MONTH_LOCK}, replace(NEW.month, '-', '')::integer
                    );
                    IF EXISTS ({IS_CLOSED.format(month="NEW.month")}) THEN
                        RAISE EXCEPTION '% is closed already', NEW.month
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    SELECT count(*) INTO closes FROM period_close WHERE month = NEW.month;
                    IF NEW.sequence <> closes + 1 THEN
                        RAISE EXCEPTION 'this is close % of %', closes + 1, NEW.month
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    IF NOT EXISTS (
                        SELECT 1 FROM allocation_run
                        JOIN run_approval ON run_approval.run_id = allocation_run.id
                        WHERE allocation_run.id = NEW.run_id AND allocation_run.month = NEW.month
                          AND allocation_run.state = 'closed'
                          AND allocation_run.author = NEW.prepared_by
                          AND allocation_run.outputs_digest = NEW.run_digest
                          AND run_approval.approved_by = NEW.approved_by
                    ) THEN
                        RAISE EXCEPTION '% closes on an approved run of its own', NEW.month
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month} closed by {self.closed_by}"


class PeriodReopening(models.Model):
    """A close was undone, for a stated reason, by another person than the one who had closed."""

    close = models.OneToOneField(PeriodClose, on_delete=models.PROTECT, related_name="reopening")
    reason = models.TextField()
    reopened_by = models.TextField()
    reopened_at = models.DateTimeField()

    class Meta:
        db_table = "period_reopening"
        constraints = [
            models.CheckConstraint(condition=Q(reason__regex=r"\S"), name="reopening_has_a_reason"),
            models.CheckConstraint(condition=~Q(reopened_by=""), name="reopening_is_by_somebody"),
        ]
        triggers = [
            permanent("reopening_is_permanent"),
            pgtrigger.Trigger(
                name="reopened_by_a_second_person",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("closed", "period_close")],
                func=f"""
                    SELECT * INTO closed FROM period_close WHERE id = NEW.close_id;
                    IF closed.closed_by = NEW.reopened_by THEN
                        RAISE EXCEPTION '% was closed by %: another person reopens it',
                            closed.month, closed.closed_by
                            USING ERRCODE = 'integrity_constraint_violation';
                    END IF;
                    PERFORM pg_advisory_xact_lock(
                        {MONTH_LOCK}, replace(closed.month, '-', '')::integer
                    );
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.close.month} reopened by {self.reopened_by}"
