"""The Django application `billing`."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save
from django.utils import timezone


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        """Whoever closes a month or takes in its bill, and however: its run goes on at once.
        Budgets of charges are held against what billing charges."""
        from billing.charge_budgets import charges_of_the_cycle
        from metering.budgets import read_by

        read_by("charge", charges_of_the_cycle)
        post_save.connect(_closed, sender="allocation.PeriodClose", dispatch_uid="month goes on")
        post_save.connect(_billed, sender="allocation.ProviderBill", dispatch_uid="bill came")


def _closed(instance: Any, **_: Any) -> None:
    from billing import monthly_run
    from metering.domain.periods import Month

    monthly_run.go_on(Month.parse(instance.month), now=timezone.now())


def _billed(instance: Any, *, created: bool, **_: Any) -> None:
    from billing import monthly_run
    from metering.domain.periods import Month

    if created:
        monthly_run.bill_came(Month.parse(instance.month), now=timezone.now())
