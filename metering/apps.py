"""The Django application `metering`."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    name = "metering"

    def ready(self) -> None:
        from metering import privileges  # noqa: F401 (registers its check)
