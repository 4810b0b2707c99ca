"""The events that are made of several reports of one call, and what they take the place of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from metering import bulk
from metering.calls.route_reports import Found
from metering.dispositions import Standing, decide
from metering.domain.attribution import OwnerBook
from metering.domain.merged_calls import Route, merged_call
from metering.domain.price_book import PriceBook
from metering.domain.usage import UsageEvent
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


def form(groups: Iterable[frozenset[str]], found: Found, means: Means) -> dict[frozenset[str], str]:
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
    times = times_of(replaced)
    standings = [
        Standing(key, found.events[key].event.occurred_at, "merged", MERGED, item.key)
        for group, item in made.items()
        for key in group
    ]
    standings += [
        superseded(former, times[former], item.key, MERGED) for former, item in replaced.items()
    ]
    standings += [
        Standing(item.key, item.event.occurred_at, "counted", MERGED)
        for item in made.values()
        if item.key in known
    ]
    decide(standings, author=AUTHOR, now=means.now)
    return {group: item.key for group, item in made.items()}


def _made(group: frozenset[str], found: Found, means: Means) -> PreparedEvent:
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


def stay_out(
    group: frozenset[str], arrived: Mapping[str, UsageEvent], found: Found, means: Means
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


def superseded(merged: str, at: datetime, by: str | None, reason: str) -> Standing:
    """That a merged event counts no longer."""
    return Standing(merged, at, "superseded" if by else "uncounted", reason, by)


def times_of(keys: Iterable[str]) -> dict[str, datetime]:
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
