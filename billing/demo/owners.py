"""Who bears and who pays the made-up month: cost centres, customers, dated mappings, plans."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from billing.demo.month import INDEXER, REVIEWER
from billing.demo.traffic import TENANTS
from metering.domain.cells import UNALLOCATED

SOURCE: Final = "demo"
"""The source that the usage file is imported as."""

ZONES: Final = ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Europe/Berlin")

COST_CENTRES: Final = (
    # code, name, responsible, mode, team
    ("cc-support", "Customer support", "head of support", "chargeback", "customers"),
    ("cc-growth", "Growth", "head of growth", "chargeback", "customers"),
    ("cc-sales", "Sales", "head of sales", "chargeback", "customers"),
    ("cc-engineering", "Engineering", "head of engineering", "showback", "product"),
    ("cc-research", "Research", "head of research", "showback", "product"),
    ("cc-platform", "Platform", "head of platform", "showback", "product"),
    (UNALLOCATED, "Unallocated", "financial controller", "showback", "finance"),
)

SEATS: Final = {
    "cc-support": 42,
    "cc-growth": 18,
    "cc-sales": 25,
    "cc-engineering": 61,
    "cc-research": 9,
    "cc-platform": 14,
}

UNMAPPED_TENANTS: Final = 5
"""The smallest customers, whom nobody has assigned yet: what is theirs alone is unallocated."""

PLAN_BY_RANK: Final = ((6, "scale"), (18, "team"), (len(TENANTS), "pay-as-you-go"))
WITHOUT_PLAN: Final = 3

_COLUMNS: Final = (
    "kind", "key", "target", "valid_from", "valid_to", "reason", "responsible", "mode", "team",
    "time_zone",
)  # fmt: skip


def zone_of(rank: int) -> str:
    """The zone of the customer of that rank (from 0)."""
    return ZONES[rank % len(ZONES)]


def owners_csv() -> bytes:
    """Cost centres, the operator's own server, service accounts, customers, and mappings of each
    kind; the triage feature changes hands in the middle of the month."""
    rows: list[dict[str, str]] = [
        {
            "kind": "cost_centre", "key": code, "target": name,
            "responsible": responsible, "mode": mode, "team": team,
        }
        for code, name, responsible, mode, team in COST_CENTRES
    ]  # fmt: skip
    rows.append({"kind": "provider", "key": "vllm", "target": "our own inference server"})
    rows += [
        {"kind": "service_account", "key": REVIEWER, "target": "code reviewer"},
        {"kind": "service_account", "key": INDEXER, "target": "search indexer"},
    ]
    rows += [
        {"kind": "tenant", "key": t.key, "target": t.key, "time_zone": zone_of(rank)}
        for rank, t in enumerate(TENANTS)
    ]
    rows += _mappings()
    return _csv(_COLUMNS, rows)


def _mappings() -> list[dict[str, str]]:
    handover = "triage moves from support to the platform team"
    rows = [
        _owner("endpoint_tag", "support.chat", "cc-support"),
        _owner("endpoint_tag", "support.triage", "cc-support", until="2026-10-16", why=handover),
        _owner("endpoint_tag", "support.triage", "cc-platform", since="2026-10-16", why=handover),
        _owner("endpoint_tag", "checkout.ai_summary", "cc-growth"),
        _owner("endpoint_tag", "sales.email_draft", "cc-sales"),
        _owner("user", REVIEWER, "cc-engineering"),
        _owner("user", INDEXER, "cc-platform"),
        _owner("source", SOURCE, "cc-platform", until="2026-10-08", why="until owners were named"),
    ]
    customers = ("cc-growth", "cc-sales", "cc-support")
    rows += [
        _owner("tenant", tenant.key, customers[rank % len(customers)])
        for rank, tenant in enumerate(TENANTS[:-UNMAPPED_TENANTS])
    ]
    return rows


def _owner(
    of: str, key: str, target: str, *, since: str = "", until: str = "", why: str = ""
) -> dict[str, str]:
    return {
        "kind": f"owner:{of}", "key": key, "target": target,
        "valid_from": since, "valid_to": until, "reason": why,
    }  # fmt: skip


def seats_csv() -> bytes:
    """Seats per cost centre: a driver that no call carries."""
    columns = ("driver", "cost_centre", "tenant", "value", "valid_from")
    return _csv(
        columns,
        (
            {"driver": "seats", "cost_centre": c, "value": str(n), "valid_from": "2026-10-01"}
            for c, n in SEATS.items()
        ),
    )


def subscriptions_toml() -> bytes:
    """A subscription per customer: the six largest on the large plan, the next twelve on the
    small one; the rest pay by use, but for the last few, who have no plan at all."""
    tables = []
    for rank, tenant in enumerate(TENANTS[:-WITHOUT_PLAN]):
        plan = next(name for below, name in PLAN_BY_RANK if rank < below)
        tables.append(
            f'\n[[subscriptions]]\ntenant = "{tenant.key}"\nplan = "{plan}"\n'
            f'zone = "{zone_of(rank)}"\nvalid_from = 2026-10-01\n'
        )
    return "".join(tables).encode()


def _csv(columns: Iterable[str], rows: Iterable[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
