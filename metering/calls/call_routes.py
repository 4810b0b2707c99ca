"""The same call by two routes counts once: both reports stay, and an event made of both counts.

An application knows whom it called for, an SDK or a gateway what was used. Which reports are of one
call is `route_pairs`; what each contributes is `domain.merged_calls`.

Whether two reports are one call is decided under the rows of their identities and the lock of all
dispositions, so that two routes at once cannot both count. Of a closed month nothing is taken
back: there the report that came first goes on counting, and the later one does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from metering.calls import call_identities, reported_events
from metering.calls.call_identities import KINDS, Shared
from metering.calls.merged_events import (
    AUTHOR,
    SPLIT,
    Means,
    form,
    stay_out,
    superseded,
    times_of,
)
from metering.calls.route_pairs import pair
from metering.calls.route_reports import Found, alive, load, originals_of
from metering.dispositions import Standing, decide, lock_changes, standings_of, why_it_must_stay
from metering.domain.periods import Month
from metering.domain.usage import UsageEvent


class Joined(NamedTuple):
    """An event that was found to be another report of a call: the event that counts now, and the
    other sources."""

    counts: str
    sources: tuple[str, ...]
    in_closed_month: bool


def join_routes(events: Iterable[tuple[str, UsageEvent]], means: Means) -> dict[str, Joined]:
    """Let these events, which were just stored, count as one with other reports of their calls.
    Those that are such reports, by key."""
    arrived = dict(events)
    return _join(arrived, call_identities.note(arrived.items(), now=means.now), means)


def join_again(keys: Mapping[str, datetime], means: Means) -> dict[str, Joined]:
    """As `join_routes`, of events (by key, each with its time) that came before and count again,
    or whose like do."""
    events = {key: each.event for key, each in reported_events.read(keys).items()}
    return _join(events, call_identities.look_up(events.items()), means) if events else {}


def _join(
    arrived: Mapping[str, UsageEvent], shared: Sequence[Shared], means: Means
) -> dict[str, Joined]:
    members = alive({m.key: m for each in shared for m in each.members}, arrived)
    if len(members) < 2 or not arrived.keys() & members.keys():  # noqa: PLR2004 - a pair
        return {}
    closed = _closed_months(member.occurred_at for member in members.values())
    lock_changes()
    found = load(members)
    for kind in KINDS:
        for each in shared:
            if each.kind == kind:
                pair(each, arrived, found)
    return _settle(arrived, found, closed, means)


def release(keys: Iterable[str], means: Means) -> bool:
    """Take these events, which are about to be replaced, out of the merged ones that they are part
    of; what is left of those counts. Whether there were any. The caller holds `lock_changes`."""
    leaving = frozenset(keys)
    merged = {
        each.superseded_by
        for each in standings_of(leaving).values()
        if each.state == "merged" and each.superseded_by is not None
    }
    former = originals_of(merged)
    left = {
        counts: {key: at for key, at in reports.items() if key not in leaving}
        for counts, reports in former.items()
    }
    several = {counts: frozenset(reports) for counts, reports in left.items() if len(reports) > 1}
    wanted = {key: at for counts in several for key, at in left[counts].items()}
    formed = form(several.values(), Found(events=reported_events.read(wanted)), means)
    times = times_of(former)
    standings = []
    for counts, reports in left.items():
        if counts in several:
            by: str | None = formed[several[counts]]
        else:
            by = next(iter(reports), None)
            standings += [Standing(key, at, "counted", SPLIT) for key, at in reports.items()]
        standings.append(superseded(counts, times[counts], by, SPLIT))
    decide(standings, author=AUTHOR, now=means.now)
    return bool(merged)


def originals(merged: str) -> dict[str, datetime]:
    """The reports that a merged event was made of, each with its time."""
    return originals_of({merged}).get(merged, {})


def _closed_months(instants: Iterable[datetime]) -> frozenset[Month]:
    months = sorted({Month(at.year, at.month) for at in instants})
    return frozenset(month for month in months if why_it_must_stay(month) is not None)


def _settle(
    arrived: Mapping[str, UsageEvent], found: Found, closed: frozenset[Month], means: Means
) -> dict[str, Joined]:
    groups = {group for key, group in found.groups.items() if key in arrived and len(group) > 1}
    shut = {
        group for group in groups if any(_month(found.events[key].event) in closed for key in group)
    }
    counts = form(groups - shut, found, means)
    for group in shut:
        counts[group] = stay_out(group, arrived, found, means)
    joined: dict[str, Joined] = {}
    for group in groups:
        new = sorted(group & arrived.keys())
        for key in new if group - arrived.keys() else new[1:]:
            others = {found.events[k].event.source for k in group if k != key}
            joined[key] = Joined(counts[group], tuple(sorted(others)), group in shut)
    return joined


def _month(event: UsageEvent) -> Month:
    return Month(event.occurred_at.year, event.occurred_at.month)
