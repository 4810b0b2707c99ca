"""The admin of usage: what was used, by whom, at which price; who may log in and what they did."""

from metering.admin import (
    events,
    keys,
    mappings,
    owners,
    people,
    prices,
    schedules,
    seals,
    users,
)

__all__ = [
    "events",
    "keys",
    "mappings",
    "owners",
    "people",
    "prices",
    "schedules",
    "seals",
    "users",
]
