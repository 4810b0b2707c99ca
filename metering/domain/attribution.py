"""Who an event's cost belongs to: tenant and cost centre, by dated mappings.

The cost centre resolves in a fixed order: what the event names → its endpoint tag → its user →
its tenant → its source's default → *unallocated*.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final, NamedTuple

from metering.domain.cells import UNALLOCATED, Owner
from metering.domain.merged_calls import Role
from metering.domain.usage import UsageEvent

PROJECT_TAG: Final = "provider_project"
"""The tag that names the provider's project (or workspace) a call was billed under."""

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)


class Dated(NamedTuple):
    """A target from an instant (inclusive) to another (exclusive); `None` is open-ended."""

    valid_from: datetime | None
    valid_to: datetime | None
    target: str


@dataclass(frozen=True, slots=True)
class DatedTargets:
    """One key's targets over time. Rows must not overlap (the database holds that)."""

    starts: tuple[datetime, ...]
    rows: tuple[Dated, ...]

    @classmethod
    def of(cls, rows: Iterable[Dated]) -> DatedTargets:
        ordered = tuple(sorted(rows, key=lambda row: row.valid_from or _ALWAYS))
        return cls(tuple(row.valid_from or _ALWAYS for row in ordered), ordered)

    def at(self, instant: datetime) -> str | None:
        position = bisect_right(self.starts, instant) - 1
        if position < 0:
            return None
        row = self.rows[position]
        return row.target if row.valid_to is None or instant < row.valid_to else None


Mappings = Mapping[str, DatedTargets]


@dataclass(frozen=True, slots=True)
class SourceDefaults:
    """What a source stands for where its events are silent, and what is believed of it first where
    another source reports the same call (`None`: as the reports show)."""

    provider_project: str = ""
    role: Role | None = None


@dataclass(frozen=True)
class OwnerBook:
    """All mappings as they stand, a snapshot. Users are keyed by the hex of their lookup hash."""

    cost_centres: frozenset[str] = frozenset({UNALLOCATED})
    by_cost_centre: Mappings = field(default_factory=dict)
    by_endpoint_tag: Mappings = field(default_factory=dict)
    by_user: Mappings = field(default_factory=dict)
    by_tenant: Mappings = field(default_factory=dict)
    by_source: Mappings = field(default_factory=dict)
    user_tenants: Mappings = field(default_factory=dict)
    source_tenants: Mappings = field(default_factory=dict)
    service_accounts: frozenset[bytes] = frozenset()
    sources: Mapping[str, SourceDefaults] = field(default_factory=dict)
    providers: frozenset[str] = frozenset()

    @cached_property
    def edges(self) -> tuple[datetime, ...]:
        """All instants at which some mapping begins or ends, in order: two events between the same
        edges, alike in what mappings go by, belong to the same owner."""
        mappings = (
            *(self.by_cost_centre, self.by_endpoint_tag, self.by_user, self.by_tenant),
            *(self.by_source, self.user_tenants, self.source_tenants),
        )
        return tuple(
            sorted(
                {
                    edge
                    for keyed in mappings
                    for targets in keyed.values()
                    for row in targets.rows
                    for edge in (row.valid_from, row.valid_to)
                    if edge is not None
                }
            )
        )

    @cached_property
    def mapped_users(self) -> frozenset[str]:
        """The users that some mapping names."""
        return frozenset(self.by_user) | frozenset(self.user_tenants)

    def tenant_of(self, event: UsageEvent, user: str) -> str:
        """The tenant the work was for: as sent, else the user's, else the source's, else none."""
        return (
            event.tenant_id
            or _at(self.user_tenants, user, event.occurred_at)
            or _at(self.source_tenants, event.source, event.occurred_at)
            or ""
        )

    def cost_centre_of(self, event: UsageEvent, user: str, tenant: str) -> tuple[str, str]:
        """The cost centre, and the route by which it was found (the mapping's kind).

        A cost centre that the event names but nobody has registered is not invented: the next
        route decides, and the route is marked `…, unknown cost centre`.
        """
        at = event.occurred_at
        named = event.cost_center
        suffix = ""
        if named:
            target = _at(self.by_cost_centre, named, at)
            if target is not None:
                return target, "cost_centre"
            if named in self.cost_centres:
                return named, "cost_centre"
            suffix = ", unknown cost centre"
        for route, mappings, key in (
            ("endpoint_tag", self.by_endpoint_tag, event.endpoint_tag),
            ("user", self.by_user, user),
            ("tenant", self.by_tenant, tenant),
            ("source", self.by_source, event.source),
        ):
            target = _at(mappings, key, at)
            if target is not None:
                return target, route + suffix
        return UNALLOCATED, UNALLOCATED + suffix

    def tenant_owner(self, event: UsageEvent, tenant: str) -> Owner:
        """Who bears one tenant's share of a shared call: as an event of that tenant alone."""
        centre, _ = self.cost_centre_of(event, "", tenant)
        return Owner(centre, tenant)

    def roles(self) -> dict[str, Role]:
        """The sources that declare what is believed of them first."""
        return {key: each.role for key, each in self.sources.items() if each.role is not None}

    def project_of(self, event: UsageEvent) -> str:
        """The provider's project, as tagged or as the source's default; `""` if not known."""
        tagged = event.tags.get(PROJECT_TAG)
        if tagged is not None:
            return tagged
        defaults = self.sources.get(event.source)
        return defaults.provider_project if defaults else ""


def _at(mappings: Mappings, key: str | None, instant: datetime) -> str | None:
    targets = mappings.get(key) if key else None
    return targets.at(instant) if targets else None
