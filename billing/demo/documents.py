"""The made-up month as files: what an operator would have in hand on the first of November."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from billing.demo.billed_usage import ProviderLog
from billing.demo.bills import MadeBills, make_bills
from billing.demo.month import calls
from billing.demo.owners import owners_csv, seats_csv, subscriptions_toml
from billing.demo.size import EVENTS

FILES: Final = Path(__file__).parent / "files"
_RULE: Final = FILES / "allocation-rule.toml"
_PLANS: Final = FILES / "plans.toml"

_CALLS_AT_ONCE: Final = 2_000


@dataclass(frozen=True)
class MonthFiles:
    """Where the files are."""

    usage: Path
    owners: Path
    seats: Path
    rule: Path
    plans: Path
    openai_bill: Path
    anthropic_bill: Path

    @classmethod
    def within(cls, folder: Path) -> MonthFiles:
        return cls(
            usage=folder / "usage-2026-10.jsonl",
            owners=folder / "owners.csv",
            seats=folder / "seats.csv",
            rule=folder / "allocation-rule.toml",
            plans=folder / "plans.toml",
            openai_bill=folder / "openai-costs-2026-10.json",
            anthropic_bill=folder / "anthropic-2026-10.csv",
        )


@dataclass(frozen=True)
class MadeMonth:
    """The files, how many lines of each kind the usage has, and what was planted."""

    files: MonthFiles
    lines: Counter[str]
    bills: MadeBills


def write_month(folder: Path, events: int = EVENTS) -> MadeMonth:
    """Write all files of the month into the folder (made if need be)."""
    return write_traffic(write_terms(folder), events)


def write_terms(folder: Path) -> MonthFiles:
    """Write what was agreed before the month: owners, seats, rule and plans."""
    folder.mkdir(parents=True, exist_ok=True)
    files = MonthFiles.within(folder)
    files.owners.write_bytes(owners_csv())
    files.seats.write_bytes(seats_csv())
    files.rule.write_bytes(_RULE.read_bytes())
    files.plans.write_bytes(_PLANS.read_bytes() + subscriptions_toml())
    return files


def write_traffic(files: MonthFiles, events: int) -> MadeMonth:
    """Write what the month brought: its usage, which is streamed, and the bills for it."""
    log, lines = write_usage(files.usage, events)
    bills = make_bills(log.cells())
    files.openai_bill.write_bytes(bills.openai_costs)
    files.anthropic_bill.write_bytes(bills.anthropic_csv)
    return MadeMonth(files, lines, bills)


def write_usage(path: Path, events: int) -> tuple[ProviderLog, Counter[str]]:
    """Stream the calls into a JSONL file; what the providers saw, and lines by kind."""
    log, lines = ProviderLog(), Counter[str]()
    encode_lines = msgspec.json.Encoder().encode_lines
    made = calls(events)
    with path.open("wb") as file:
        while some := list(islice(made, _CALLS_AT_ONCE)):
            file.write(encode_lines([call.payload for call in some]))
            lines.update([call.kind for call in some])
            log.add(some)
    return log, lines
