"""Providers' bills: the bytes as they came, what they charge, and which bill replaces which.

A bill's lines are written before the bill itself. When the bill's own row arrives, the database
adds its lines up; from then on no line can join it. Nothing here is ever changed: a restatement
is a new bill that says which one it replaces.
"""

from __future__ import annotations

from typing import ClassVar, Final

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from djmoney.models.fields import MoneyField

from allocation.domain.bill_lines import LINE_KINDS
from allocation.models.periods import open_month_only, permanent
from metering.fields import ExactField

_ADDS_UP: Final = """
    SELECT count(*), coalesce(sum(amount), 0) INTO counted, summed
    FROM provider_bill_line WHERE bill_id = NEW.id;
    IF counted <> NEW.line_count OR summed <> NEW.exact THEN
        RAISE EXCEPTION 'bill % has % lines of %, not % of %',
            NEW.id, counted, summed, NEW.line_count, NEW.exact
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
"""

_JOINS_NO_FINISHED_BILL: Final = """
    IF EXISTS (
        SELECT 1 FROM (SELECT DISTINCT bill_id FROM written_rows) AS written
        JOIN provider_bill ON provider_bill.id = written.bill_id
    ) THEN
        RAISE EXCEPTION 'a stored bill takes no more lines'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
"""

_ONE_BILL_A_DAY: Final = """
    PERFORM pg_advisory_xact_lock(hashtextextended('provider_bill ' || NEW.provider, 0));
    SELECT other.id INTO overlapping FROM provider_bill AS other
    WHERE other.provider = NEW.provider AND other.account = NEW.account
      AND other.month = NEW.month AND other.id <> NEW.id AND other.days && NEW.days
      AND NOT EXISTS (SELECT 1 FROM bill_replacement WHERE replaced_id = other.id)
    LIMIT 1;
    IF overlapping IS NOT NULL THEN
        RAISE EXCEPTION 'bill % already speaks for days of this bill', overlapping
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
"""


class BillDocument(models.Model):
    """A bill's bytes, exactly as they came. What they say can be read again at any time."""

    sha256 = models.CharField(max_length=64, unique=True)
    content = models.BinaryField()
    name = models.TextField(blank=True)
    received_at = models.DateTimeField()

    class Meta:
        db_table = "bill_document"
        triggers = [permanent("bill_document_is_permanent")]

    def __str__(self) -> str:
        return f"{self.name or 'document'} {self.sha256[:12]}"


class ProviderBill(models.Model):
    """What one provider charges one account for days of one UTC month.

    `reading` digests the document and the terms that it was read with, so that the same import is
    known again. `days` are the UTC days that the bill speaks for; of the bills of an account that
    are not replaced, no two speak for the same day. `exact` is the sum of the lines, `payable`
    that sum as money. `lines_digest` covers every line.
    """

    document = models.ForeignKey(BillDocument, on_delete=models.PROTECT, related_name="bills")
    reading = models.CharField(max_length=64)
    provider = models.TextField()
    account = models.TextField(blank=True)
    month = models.TextField()
    days = ArrayField(models.DateField())
    format = models.TextField()
    terms = models.JSONField()
    currency = models.CharField(max_length=3)
    exact = ExactField()
    payable = MoneyField(max_digits=24, decimal_places=4)  # type: ignore[no-untyped-call]
    line_count = models.PositiveIntegerField()
    lines_digest = models.CharField(max_length=64)
    imported_at = models.DateTimeField()

    objects: ClassVar[models.Manager[ProviderBill]] = models.Manager()

    class Meta:
        db_table = "provider_bill"
        ordering = ["month", "provider", "account", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["reading", "account", "month"], name="bill_read_once_a_document"
            ),
            models.CheckConstraint(
                condition=Q(month__regex=r"^\d{4}-(0[1-9]|1[0-2])$"), name="bill_is_of_a_month"
            ),
            models.CheckConstraint(condition=~Q(provider=""), name="bill_has_a_provider"),
            models.CheckConstraint(condition=Q(line_count__gt=0), name="bill_has_lines"),
        ]
        triggers = [
            permanent("bill_is_permanent"),
            open_month_only("{row}.month"),
            pgtrigger.Trigger(
                name="bill_speaks_for_its_days_alone",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("overlapping", "BIGINT")],
                func=_ONE_BILL_A_DAY,
            ),
            pgtrigger.Trigger(
                name="bill_adds_up",
                level=pgtrigger.Row,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                declare=[("counted", "BIGINT"), ("summed", "NUMERIC")],
                func=_ADDS_UP,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.month}: {self.payable}"


class ProviderBillLine(models.Model):
    """One line of a bill; its fields are those of `allocation.domain.bill_lines.BillLine`."""

    id = models.BigAutoField(primary_key=True)
    bill = models.ForeignKey(
        ProviderBill, on_delete=models.PROTECT, related_name="lines", db_index=False
    )
    line_no = models.PositiveIntegerField()
    project = models.TextField(blank=True)
    day = models.DateField()
    kind = models.TextField()
    model = models.TextField(blank=True)
    token_class = models.TextField(blank=True)
    tier = models.TextField(blank=True)
    quantity = ExactField(null=True, blank=True)  # type: ignore[misc]
    quantity_unit = models.TextField(blank=True)
    amount = ExactField()
    description = models.TextField(blank=True)

    class Meta:
        db_table = "provider_bill_line"
        ordering = ["bill_id", "line_no"]
        constraints = [
            models.UniqueConstraint(fields=["bill", "line_no"], name="line_number_once_in_a_bill"),
            models.CheckConstraint(
                condition=Q(kind__in=list(LINE_KINDS)), name="bill_line_kind_known"
            ),
        ]
        triggers = [
            permanent("bill_line_is_permanent"),
            pgtrigger.Trigger(
                name="bill_line_joins_no_finished_bill",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                referencing=pgtrigger.Referencing(new="written_rows"),  # type: ignore[no-untyped-call]
                func=_JOINS_NO_FINISHED_BILL,
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.line_no}: {self.amount} {self.description}"


class BillReplacement(models.Model):
    """A bill was restated: `replaced` no longer counts, because `by` says it anew."""

    replaced = models.OneToOneField(
        ProviderBill, on_delete=models.PROTECT, related_name="replacement"
    )
    by = models.ForeignKey(ProviderBill, on_delete=models.PROTECT, related_name="replaces")

    class Meta:
        db_table = "bill_replacement"
        triggers = [
            permanent("bill_replacement_is_permanent"),
            open_month_only(
                "SELECT provider_bill.month FROM provider_bill"
                " WHERE provider_bill.id = {row}.replaced_id"
            ),
        ]

    def __str__(self) -> str:
        return f"bill {self.replaced_id} is replaced by {self.by_id}"
