"""The admin of usage: what was used, by whom, at which price; who may log in and what they did."""

from metering.admin import (
    arrivals,
    audit,
    events,
    history,
    keys,
    mappings,
    owners,
    people,
    prices,
    reratings,
    schedules,
    seals,
    site,
    users,
    work,
)

__all__ = [
    "arrivals",
    "audit",
    "events",
    "history",
    "keys",
    "mappings",
    "owners",
    "people",
    "prices",
    "reratings",
    "schedules",
    "seals",
    "site",
    "users",
    "work",
]
