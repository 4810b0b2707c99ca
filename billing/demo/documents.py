"""The made-up month as files: what an operator would have in hand on the first of November."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
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

_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class MadeMonth:
    """Where the files are, how many lines of each kind the usage has, and what was planted."""

    usage: Path
    owners: Path
    seats: Path
    rule: Path
    plans: Path
    openai_bill: Path
    anthropic_bill: Path
    lines: Counter[str]
    bills: MadeBills


def write_month(folder: Path, events: int = EVENTS) -> MadeMonth:
    """Write all files of the month into the folder (made if need be); usage is streamed."""
    folder.mkdir(parents=True, exist_ok=True)
    usage = folder / "usage-2026-10.jsonl"
    log, lines = write_usage(usage, events)
    bills = make_bills(log.cells())
    month = MadeMonth(
        usage=usage,
        owners=folder / "owners.csv",
        seats=folder / "seats.csv",
        rule=folder / "allocation-rule.toml",
        plans=folder / "plans.toml",
        openai_bill=folder / "openai-costs-2026-10.json",
        anthropic_bill=folder / "anthropic-2026-10.csv",
        lines=lines,
        bills=bills,
    )
    month.owners.write_bytes(owners_csv())
    month.seats.write_bytes(seats_csv())
    month.rule.write_bytes(_RULE.read_bytes())
    month.plans.write_bytes(_PLANS.read_bytes() + subscriptions_toml())
    month.openai_bill.write_bytes(bills.openai_costs)
    month.anthropic_bill.write_bytes(bills.anthropic_csv)
    return month


def write_usage(path: Path, events: int) -> tuple[ProviderLog, Counter[str]]:
    """Stream the calls into a JSONL file; what the providers saw, and lines by kind."""
    log, lines = ProviderLog(), Counter[str]()
    buffer = bytearray()
    encode = msgspec.json.Encoder().encode_into
    with path.open("wb") as file:
        for call in calls(events):
            encode(call.payload, buffer, len(buffer))
            buffer += b"\n"
            log.add(call)
            lines[call.kind] += 1
            if len(buffer) > _CHUNK:
                file.write(buffer)
                buffer.clear()
        file.write(buffer)
    return log, lines
