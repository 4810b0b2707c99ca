"""The same call by two routes counts once: both reports stay, and an event made of both counts.

An application knows whom it called for, an SDK or a gateway what was used. Their reports are known
to be of one call by the provider's request id; else by the trace, if it is the same span, or the
same model with the same tokens. What each contributes is `domain.merged_calls`.

Whether two reports are one call is decided under the rows of their identities and the lock of all
dispositions, so that two routes at once cannot both count. Of a closed month nothing is taken
back: there the report that came first goes on counting, and the later one does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from metering import bulk
from metering.calls import call_identities, reported_events
from metering.calls.call_identities import Kind, Member, Shared, route_of
from metering.calls.reported_events import ReportedEvent
from metering.dispositions import Standing, decide, lock_changes, standings_of, why_it_must_stay
from metering.domain.attribution import OwnerBook
from metering.domain.merged_calls import Route, are_one, merged_call
from metering.domain.periods import Month
from metering.domain.price_book import PriceBook
from metering.domain.usage import UsageEvent, counts_of
from metering.event_rows import instant_text
from metering.prepared_events import CallKinds, PreparedEvent, prepare

AUTHOR: Final = "merging of routes"
MERGED: Final = "another route reported the same call"
SPLIT: Final = "one of its reports was replaced"

Write = Callable[[Sequence[PreparedEvent]], frozenset[str]]
"""Stores events that were made of others; the keys of those that were there before."""


@dataclass(frozen=True)
class Means:
    """What events are made with: the books, the instant, and who stores them."""

    owners: OwnerBook
    prices: PriceBook
    now: datetime
    write: Write


class Joined(NamedTuple):
    """An event that was found to be another report of a call: the event that counts now, and the
    other sources."""

    counts: str
    sources: tuple[str, ...]
    in_closed_month: bool


@dataclass
class _Found:
    """The reports that may be of one call: each one's event, and with which others it counts as
    one (itself alone: a set of one). `merged` names the event that counts for such a set."""

    events: dict[str, ReportedEvent] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    merged: dict[frozenset[str], str] = field(default_factory=dict)

    def join(self, one: str, other: str) -> None:
        together = self.groups[one] | self.groups[other]
        for key in together:
            self.groups[key] = together


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
    members = _alive({m.key: m for each in shared for m in each.members}, arrived)
    if len(members) < 2 or not arrived.keys() & members.keys():  # noqa: PLR2004 - a pair
        return {}
    closed = _closed_months(member.occurred_at for member in members.values())
    lock_changes()
    found = _load(members)
    for kind in ("request", "trace"):
        for each in shared:
            if each.kind == kind:
                _pair(each, arrived, found)
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
    former = _originals(merged)
    left = {
        counts: {key: at for key, at in reports.items() if key not in leaving}
        for counts, reports in former.items()
    }
    several = {counts: frozenset(reports) for counts, reports in left.items() if len(reports) > 1}
    wanted = {key: at for counts in several for key, at in left[counts].items()}
    formed = _form(several.values(), _Found(events=reported_events.read(wanted)), means)
    times = _times(former)
    standings = []
    for counts, reports in left.items():
        if counts in several:
            by: str | None = formed[several[counts]]
        else:
            by = next(iter(reports), None)
            standings += [Standing(key, at, "counted", SPLIT) for key, at in reports.items()]
        standings.append(_superseded(counts, times[counts], by, SPLIT))
    decide(standings, author=AUTHOR, now=means.now)
    return bool(merged)


def originals(merged: str) -> dict[str, datetime]:
    """The reports that a merged event was made of, each with its time."""
    return _originals({merged}).get(merged, {})


def _alive(members: Mapping[str, Member], arrived: Mapping[str, UsageEvent]) -> dict[str, Member]:
    """Without reports that were replaced: by a later one, or by the calls beneath them."""
    known = standings_of([key for key in members if key not in arrived])
    return {
        key: member
        for key, member in members.items()
        if key not in known or known[key].state in ("counted", "merged")
    }


def _closed_months(instants: Iterable[datetime]) -> frozenset[Month]:
    months = sorted({Month(at.year, at.month) for at in instants})
    return frozenset(month for month in months if why_it_must_stay(month) is not None)


def _load(members: Mapping[str, Member]) -> _Found:
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
    found = _Found()
    for counts, reports in _originals(merged).items():
        wanted |= reports
        group = frozenset(reports)
        found.merged[group] = counts
        found.groups |= dict.fromkeys(group, group)
    found.events = reported_events.read(wanted)
    for key in found.events:
        found.groups.setdefault(key, frozenset({key}))
    return found


def _originals(merged: Iterable[str]) -> dict[str, dict[str, datetime]]:
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


def _pair(shared: Shared, arrived: Mapping[str, UsageEvent], found: _Found) -> None:
    here = [member.key for member in shared.members if member.key in found.events]
    for key in here:
        if key in arrived:
            for other in here:
                if found.groups[other] != found.groups[key] and _fit(
                    shared.kind, key, other, found
                ):
                    found.join(key, other)


def _fit(kind: Kind, key: str, other: str, found: _Found) -> bool:
    """Whether two reports with one identity are of one call, and their other reports too."""
    event, known = found.events[key].event, found.events[other].event
    if kind == "trace" and not (
        route_of(event) != route_of(known) and (_same_span(event, known) or are_one(event, known))
    ):
        return False
    return all(
        _can_be_one(found.events[a].event, found.events[b].event, by_request=kind == "request")
        for a in found.groups[key]
        for b in found.groups[other]
    )


def _can_be_one(one: UsageEvent, other: UsageEvent, *, by_request: bool) -> bool:
    """A route reports a call once, so two reports by one route are two calls: unless it gave them
    one request id of the provider's and the same counts, under two names. What is for one tenant
    is never merged with what is for another."""
    if one.provider != other.provider:
        return False
    if one.tenant_id and other.tenant_id and one.tenant_id != other.tenant_id:
        return False
    if route_of(one) != route_of(other):
        return True
    return (
        by_request
        and one.provider_request_id == other.provider_request_id
        and one.external_request_id != other.external_request_id
        and counts_of(one) == counts_of(other)
    )


def _same_span(one: UsageEvent, other: UsageEvent) -> bool:
    return None not in (spans := {_span(one), _span(other)}) and len(spans) == 1


def _span(event: UsageEvent) -> str | None:
    """The span that an event was made of, without trace and version."""
    if event.event_id is None or not event.event_id.startswith(call_identities.SPAN_EVENT):
        return None
    return event.event_id.rpartition("/")[2].partition("#")[0]


def _settle(
    arrived: Mapping[str, UsageEvent], found: _Found, closed: frozenset[Month], means: Means
) -> dict[str, Joined]:
    groups = {group for key, group in found.groups.items() if key in arrived and len(group) > 1}
    shut = {
        group for group in groups if any(_month(found.events[key].event) in closed for key in group)
    }
    counts = _form(groups - shut, found, means)
    for group in shut:
        counts[group] = _stay_out(group, arrived, found, means)
    joined: dict[str, Joined] = {}
    for group in groups:
        new = sorted(group & arrived.keys())
        for key in new if group - arrived.keys() else new[1:]:
            others = {found.events[k].event.source for k in group if k != key}
            joined[key] = Joined(counts[group], tuple(sorted(others)), group in shut)
    return joined


def _month(event: UsageEvent) -> Month:
    return Month(event.occurred_at.year, event.occurred_at.month)


def _form(
    groups: Iterable[frozenset[str]], found: _Found, means: Means
) -> dict[frozenset[str], str]:
    """Let one event count for all reports of each group; its key."""
    made = {group: _made(group, found, means) for group in groups}
    if not made:
        return {}
    known = means.write(sorted(made.values(), key=lambda item: item.key))
    parts = {key: part for part in found.merged for key in part}
    replaced = {
        found.merged[part]: item
        for group, item in made.items()
        for part in {parts[key] for key in group if key in parts}
        if part != group
    }
    times = _times(replaced)
    standings = [
        Standing(key, found.events[key].event.occurred_at, "merged", MERGED, item.key)
        for group, item in made.items()
        for key in group
    ]
    standings += [
        _superseded(former, times[former], item.key, MERGED) for former, item in replaced.items()
    ]
    standings += [
        Standing(item.key, item.event.occurred_at, "counted", MERGED)
        for item in made.values()
        if item.key in known
    ]
    decide(standings, author=AUTHOR, now=means.now)
    return {group: item.key for group, item in made.items()}


def _made(group: frozenset[str], found: _Found, means: Means) -> PreparedEvent:
    routes = [
        Route(key, found.events[key].event, found.events[key].lookup_hash is not None)
        for key in sorted(group)
    ]
    merged = merged_call(routes, means.owners.roles())
    named = found.events[merged.user.key] if merged.user is not None else None
    return prepare(
        merged.event,
        kinds=CallKinds(means.owners, means.prices),
        hash_key=b"",
        received_at=instant_text(means.now),
        identified=(None, "unknown") if named is None else (named.lookup_hash, named.user_kind),
    )


def _stay_out(
    group: frozenset[str], arrived: Mapping[str, UsageEvent], found: _Found, means: Means
) -> str:
    """Let what has arrived not count beside what a closed month was closed on; what counts."""
    there = sorted(group - arrived.keys()) or sorted(group)[:1]
    former = next((found.merged[part] for part in found.merged if there[0] in part), None)
    counts = former or there[0]
    decide(
        [
            Standing(key, found.events[key].event.occurred_at, "superseded", MERGED, counts)
            for key in sorted(group)
            if key in arrived and key != counts
        ],
        author=AUTHOR,
        now=means.now,
    )
    return counts


def _superseded(merged: str, at: datetime, by: str | None, reason: str) -> Standing:
    """That a merged event counts no longer."""
    return Standing(merged, at, "superseded" if by else "uncounted", reason, by)


def _times(keys: Iterable[str]) -> dict[str, datetime]:
    """When these events occurred, from the ledger."""
    wanted = sorted(keys)
    if not wanted:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT event_key::text, occurred_at FROM event_ledger"
            " WHERE event_key = ANY(%s::uuid[])",
            [bulk.array(wanted)],
        )
        return dict(cursor.fetchall())
