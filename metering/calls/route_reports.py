"""The reports that may be of one call: their events, and which of them count as one already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from metering import bulk
from metering.calls import reported_events
from metering.calls.call_identities import Member
from metering.calls.reported_events import ReportedEvent
from metering.dispositions import standings_of
from metering.domain.usage import UsageEvent


@dataclass
class Found:
    """The reports that may be of one call: each one's event, and with which others it counts as
    one (itself alone: a set of one). `merged` names the event that counts for such a set."""

    events: dict[str, ReportedEvent] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    merged: dict[frozenset[str], str] = field(default_factory=dict)

    def join(self, one: str, other: str) -> None:
        together = self.groups[one] | self.groups[other]
        for key in together:
            self.groups[key] = together


def alive(members: Mapping[str, Member], arrived: Mapping[str, UsageEvent]) -> dict[str, Member]:
    """Without reports that were replaced: by a later one, or by the calls beneath them."""
    known = standings_of([key for key in members if key not in arrived])
    return {
        key: member
        for key, member in members.items()
        if key not in known or known[key].state in ("counted", "merged")
    }


def load(members: Mapping[str, Member]) -> Found:
    standings = standings_of(members)
    wanted = {
        key: member.occurred_at
        for key, member in members.items()
        if key not in standings or standings[key].state == "counted"
    }
    merged = {
        each.superseded_by
        for each in standings.values()
        if each.state == "merged" and each.superseded_by is not None
    }
    found = Found()
    for counts, reports in originals_of(merged).items():
        wanted |= reports
        group = frozenset(reports)
        found.merged[group] = counts
        found.groups |= dict.fromkeys(group, group)
    found.events = reported_events.read(wanted)
    for key in found.events:
        found.groups.setdefault(key, frozenset({key}))
    return found


def originals_of(merged: Iterable[str]) -> dict[str, dict[str, datetime]]:
    """The reports of each merged event, as it was last decided."""
    wanted = sorted(set(merged))
    found: dict[str, dict[str, datetime]] = {}
    if wanted:
        with bulk.cursor() as cursor:
            cursor.execute(
                "SELECT superseded_by::text, event_key::text, occurred_at FROM event_disposition d"
                " WHERE superseded_by = ANY(%s::uuid[]) AND state = 'merged' AND NOT EXISTS ("
                "  SELECT FROM event_disposition later WHERE later.event_key = d.event_key"
                "  AND later.sequence > d.sequence)",
                [bulk.array(wanted)],
            )
            for counts, key, at in cursor:
                found.setdefault(counts, {})[key] = at
    return found
