"""An open month's events at the prices as they stand now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from config.roles import IMPORT_PRICES
from metering.management.revaluing import RevaluingCommand
from metering.pricing import rerating


class Command(RevaluingCommand):
    help = (
        "Rate the events of an open month with the prices as they stand, each at its own instant, "
        "and store what differs as a revision of the event; harmless to repeat or to cut off."
    )
    permission = IMPORT_PRICES
    reason = "rated with the prices as they stand"
    run = staticmethod(rerating.rerate)

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", help="only events of this executed model")
        parser.add_argument(
            "--recompute",
            action="store_true",
            help="rate every event one by one instead of having the database compare plain calls: "
            "slow, and the same answer",
        )

    def more(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"model": options["model"], "recompute": options["recompute"]}
