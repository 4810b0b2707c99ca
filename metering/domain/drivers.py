"""What costs may be divided by that metering measures, and how it is asked for."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

By = Literal["owner", "owner_model", "owner_endpoint"]

ACTIVE_USERS: Final = "active_users"
MEASURED: Final = (
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
    "metered_cost",
    ACTIVE_USERS,
)
"""The drivers that metering measures. Imported ones (seats, head count) are allocation's."""


class DriverQuery(NamedTuple):
    """A driver, and of which usage: of the providers, executed models, endpoint tags and service
    tiers (in lower case) that are named, of all where none are. `by`: per owner, or per owner and
    executed model or endpoint tag."""

    driver: str
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    endpoint_tags: tuple[str, ...] = ()
    by: By = "owner"
    tiers: tuple[str, ...] = ()
