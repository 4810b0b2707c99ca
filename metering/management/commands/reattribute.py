"""An open month's events to the owners that the mappings give them now."""

from __future__ import annotations

from config.roles import IMPORT_OWNERS
from metering.management.revaluing import RevaluingCommand
from metering.pricing import reattribution


class Command(RevaluingCommand):
    help = (
        "Find the owners of an open month's events by the mappings as they stand, back-dated ones "
        "included, and store what differs as a revision of the event; harmless to repeat."
    )
    permission = IMPORT_OWNERS
    reason = "owners found by the mappings as they stand"
    run = staticmethod(reattribution.reattribute)
