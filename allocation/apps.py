"""The Django application `allocation`."""

from django.apps import AppConfig


class AllocationConfig(AppConfig):
    name = "allocation"

    def ready(self) -> None:
        from allocation.closed_months import why_usage_must_stay
        from metering.dispositions import guard_months

        guard_months(why_usage_must_stay)
