"""The raw events under a line: which they are, how many, and a digest that proves the set."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from metering.domain.periods import Period
from metering.selected_events import PROOF, Seen, Selection, alike, meets, one_by_one

__all__ = [
    "Evidence",
    "Selection",
    "event_keys",
    "evidence",
    "evidence_for",
    "evidence_under",
    "keys_under",
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The events under a line: how many, a digest that proves the set, and their tokens.

    `digest` is SHA-256 over event key ‖ seal digest of each, sorted by key. `tokens` is input
    plus output of the whole calls, of which a shared call's line bears a part only.
    """

    count: int
    digest: str
    tokens: int


class _Gathering:
    """Evidence while it is being gathered; what came of a part of the keys waits for all of it."""

    __slots__ = ("_digest", "_waiting", "count", "tokens")

    def __init__(self) -> None:
        self.count = self.tokens = 0
        self._digest = sha256()
        self._waiting: list[bytes] = []

    def add(self, proofs: bytes, count: int, tokens: int) -> None:
        """Add calls of which key and digest stand one after the other, in any order."""
        self.count += count
        self.tokens += tokens
        self._waiting.append(proofs)

    def hash(self) -> None:
        """Hash what waits, sorted by key. All that is added later has greater keys."""
        waiting = b"".join(self._waiting)
        each = [waiting[i : i + PROOF] for i in range(0, len(waiting), PROOF)]
        each.sort()
        self._digest.update(b"".join(each))
        self._waiting.clear()

    def evidence(self) -> Evidence:
        self.hash()
        return Evidence(self.count, self._digest.hexdigest(), self.tokens)


def event_keys(selection: Selection) -> Iterator[tuple[UUID, bytes]]:
    """The selected events' keys and seal digests, sorted by key, streamed."""
    return keys_under([selection])


def keys_under(
    line: Sequence[Selection], after: UUID | None = None
) -> Generator[tuple[UUID, bytes], None, None]:
    """Keys and seal digests of all events that any of a line's selections (of one period) names,
    sorted by key, streamed; `after` a key, those that follow it."""
    for proof, (at, of_owners) in one_by_one(line, after) if line else ():
        if any(meets(at, traits, selection) for traits in of_owners for selection in line):
            yield UUID(bytes=proof[:16]), proof[16:]


def evidence(selection: Selection) -> Evidence:
    """Count and digest of the events under one line."""
    return evidence_for([selection])[0]


def evidence_for(selections: Sequence[Selection]) -> list[Evidence]:
    """Count and digest of the events under each of several lines of one selection each."""
    return evidence_under([(selection,) for selection in selections])


def evidence_under(lines: Sequence[Sequence[Selection]]) -> list[Evidence]:
    """Count and digest of the events under each of several lines, each all that any of its
    selections (of one period) names. Lines of overlapping periods share one pass over the
    events, whoever owns them."""
    gathering = [_Gathering() for _ in lines]
    for indexes in _passes(lines):
        _gather([(gathering[i], lines[i]) for i in indexes])
    return [one.evidence() for one in gathering]


def _passes(lines: Sequence[Sequence[Selection]]) -> Iterator[list[int]]:
    """The lines that are gathered together: those of periods that overlap, as of one instant."""
    cuts: dict[datetime | None, list[tuple[Period, int]]] = {}
    for i, line in enumerate(lines):
        of_line = {(s.received_by, s.period) for s in line}
        if len(of_line) > 1:
            raise ValueError("the selections of a line are of one period")
        for received_by, period in of_line:
            cuts.setdefault(received_by, []).append((period, i))
    for members in cuts.values():
        together: list[int] = []
        until: datetime | None = None
        for period, i in sorted(members, key=lambda member: (member[0].start, member[1])):
            if until is not None and period.start >= until:
                yield together
                together, until = [], None
            together.append(i)
            until = period.end if until is None else max(until, period.end)
        yield together


Line = tuple[_Gathering, Sequence[Selection]]


def _gather(lines: list[Line]) -> None:
    """One pass, in which the database puts together the calls that all selections see alike. To
    which lines these belong through one of their owners is decided against the lines of that
    owner's tenant only."""
    by_tenant: dict[str | None, list[Line]] = {}
    for line in lines:
        tenants = {s.tenant for s in line[1]}
        by_tenant.setdefault(tenants.pop() if len(tenants) == 1 else None, []).append(line)
    hashed = 0
    for part, seen, calls, tokens, proofs in alike([s for _, of_line in lines for s in of_line]):
        if part != hashed:
            hashed = part
            for gathering, _ in lines:
                gathering.hash()
        for gathering in _through(seen, by_tenant):
            gathering.add(proofs, calls, tokens)


def _through(seen: Seen, by_tenant: Mapping[str | None, list[Line]]) -> list[_Gathering]:
    """The lines that calls that are seen so belong to, through any of their owners."""
    chosen: list[_Gathering] = []
    for traits in seen.of_owners:
        for tenant in (None, traits.tenant):
            for gathering, selections in by_tenant.get(tenant, ()):
                if gathering not in chosen and any(meets(seen.at, traits, s) for s in selections):
                    chosen.append(gathering)
    return chosen
