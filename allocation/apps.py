"""The Django application `allocation`."""

from django.apps import AppConfig


class AllocationConfig(AppConfig):
    name = "allocation"

    def ready(self) -> None:
        from allocation.closed_months import usage_must_stay
        from metering.dispositions import guard_months

        guard_months(usage_must_stay)
