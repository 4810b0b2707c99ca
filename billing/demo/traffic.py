"""What the made-up month draws from: lengths, tenants, hours and endpoints.

The token lengths follow published traces of production services, kept here as quantiles (0 %,
5 %, … 100 %) from which a length is drawn by linear interpolation:

- `CONVERSATION_*` and `CODE_*`: Azure LLM inference traces 2023, services "conv" (19,366 requests)
  and "code" (8,819 requests); Patel et al., "Splitwise", ISCA 2024; CC-BY-4.0.
- `LONG_PROMPT` and `REUSED_PREFIX`: Mooncake traces (3,993 requests), FAST'25; Apache-2.0. The
  second is the part of a prompt whose 512-token blocks had been seen before, in thousandths.

Tenants, users, hours, endpoints and prices of plans are invented.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from billing.demo.size import CUSTOMERS

Quantiles = tuple[int, ...]

CONVERSATION_INPUT: Final[Quantiles] = (
    2, 181, 207, 372, 387, 396, 403, 414, 703, 984, 1020,
    1045, 1071, 1097, 1130, 1189, 1315, 1877, 2735, 4083, 14050,
)  # fmt: skip
CONVERSATION_OUTPUT: Final[Quantiles] = (
    7, 41, 54, 67, 77, 85, 91, 96, 103, 113, 129,
    151, 177, 217, 384, 395, 400, 411, 424, 451, 1000,
)  # fmt: skip
CODE_INPUT: Final[Quantiles] = (
    3, 75, 147, 232, 385, 578, 770, 938, 1075, 1261, 1469,
    1690, 1909, 2164, 2433, 2745, 3193, 3923, 5194, 7315, 7437,
)  # fmt: skip
CODE_OUTPUT: Final[Quantiles] = (
    6, 6, 7, 7, 8, 9, 9, 10, 11, 12, 13,
    14, 16, 18, 20, 24, 29, 39, 55, 90, 1899,
)  # fmt: skip
LONG_PROMPT: Final[Quantiles] = (
    13, 22, 30, 45, 88, 277, 912, 2777, 4365, 6657, 11587,
    14730, 16289, 17642, 19411, 23175, 28430, 34376, 38615, 49009, 191378,
)  # fmt: skip
REUSED_PREFIX: Final[Quantiles] = (
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 923, 960, 970, 977, 984, 989, 994, 999, 999,
)  # fmt: skip

YEAR: Final = 2026
MONTH: Final = 10
DAYS: Final = 31
START: Final = datetime(YEAR, MONTH, 1, tzinfo=UTC)


def length(quantiles: Quantiles, u: float) -> int:
    """The value at the quantile `u` (0 <= u < 1), between two table points in a straight line."""
    place = u * (len(quantiles) - 1)
    below = int(place)
    low = quantiles[below]
    return low + int((quantiles[below + 1] - low) * (place - below))


class Choice:
    """Draws one of several things by weight, from one number in [0, 1)."""

    __slots__ = ("_edges", "_things")

    def __init__(self, weighted: list[tuple[str, int]]) -> None:
        total = sum(weight for _, weight in weighted)
        self._things = tuple(thing for thing, _ in weighted)
        self._edges = tuple(edge / total for edge in accumulate(w for _, w in weighted))[:-1]

    def at(self, u: float) -> str:
        return self._things[bisect_right(self._edges, u)]


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer: its key, how heavy it is beside the others, and how many users it has."""

    key: str
    weight: int
    users: int


_TENANT_KEYS: Final = (
    "acme", "globex", "alder-foods", "basalt-bank", "cedar-clinic", "delta-freight",
    "ember-energy", "fjord-travel", "granite-insure", "harbour-legal", "iris-optics",
    "juniper-retail", "kestrel-air", "larch-build", "maple-media", "nimbus-cloud", "onyx-mining",
    "prairie-farms", "quartz-labs", "ridge-sports", "sable-fashion", "tundra-gear", "umber-paints",
    "vale-theatre", "willow-homes", "xenon-lights", "yarrow-pharma", "zephyr-wind", "amber-toys",
    "birch-paper", "coral-cruises", "dune-solar", "echo-audio", "flint-tools", "grove-dairy",
    "heron-post", "inlet-yachts", "jasper-stone", "kelp-health", "lumen-solar",
)  # fmt: skip

TENANTS: Final = tuple(
    Tenant(key, round(1_000_000 / (rank**1.1)), 3 + round(240 / rank**0.9))
    for rank, key in enumerate(_TENANT_KEYS[:CUSTOMERS], start=1)
)
"""Customers whose sizes fall off like Zipf's law (exponent 1.1): the first is more than a
quarter of the traffic, the last half a hundredth."""

TENANT: Final = Choice([(tenant.key, tenant.weight) for tenant in TENANTS])
USERS: Final = {
    tenant.key: tuple(f"{tenant.key}-user-{rank:03d}" for rank in range(1, tenant.users + 1))
    for tenant in TENANTS
}
"""The users' names, who sends most first."""


class Mix(NamedTuple):
    """What an endpoint sends: its models (in per cent), lengths, and how its prompts are cached."""

    models: Choice
    input: Quantiles
    output: Quantiles
    cached_percent: int
    versions: tuple[tuple[int, str], ...]


_CHAT = (CONVERSATION_INPUT, CONVERSATION_OUTPUT)
_CODE = (CODE_INPUT, CODE_OUTPUT)

ENDPOINTS: Final = {
    "support.chat": Mix(
        Choice([("gpt-4.1-mini", 62), ("claude-haiku-4-5", 38)]),
        *_CHAT, 55, ((1, "support_v7"), (12, "support_v8")),
    ),
    "support.triage": Mix(
        Choice([("gpt-5-nano", 100)]), *_CODE, 30, ((1, "triage_v2"),),
    ),
    "checkout.ai_summary": Mix(
        Choice([("gpt-4.1-mini", 70), ("gpt-5-mini", 30)]),
        *_CHAT, 35, ((1, "summary_v3"), (15, "summary_v4"), (23, "summary_v5")),
    ),
    "search.embed": Mix(
        Choice([("text-embedding-3-small", 100)]), *_CODE, 0, ((1, "embed_v1"),),
    ),
    "docs.assistant": Mix(
        Choice([("claude-sonnet-5-5", 80), ("llama-3.3-70b-instruct", 20)]),
        *_CHAT, 60, ((1, "docs_v11"), (9, "docs_v12")),
    ),
    "sales.email_draft": Mix(
        Choice([("claude-opus-5-5", 35), ("claude-sonnet-5-5", 65)]),
        *_CHAT, 20, ((1, "email_v4"),),
    ),
    "code.review": Mix(
        Choice([("gpt-6-sol", 75), ("gpt-5.5-cyber", 10), ("orion-preview-1009", 15)]),
        *_CODE, 45, ((1, "review_v1"), (19, "review_v2")),
    ),
    "agents.research": Mix(
        Choice([("claude-opus-5-5", 30), ("gpt-6-sol", 70)]),
        LONG_PROMPT, CONVERSATION_OUTPUT, 80, ((1, "agent_v5"), (20, "agent_v6")),
    ),
}  # fmt: skip
"""Eight features. A prompt version holds from its day of the month on."""

ENDPOINT: Final = Choice(
    [
        ("support.chat", 30), ("support.triage", 17), ("checkout.ai_summary", 15),
        ("search.embed", 12), ("docs.assistant", 11), ("sales.email_draft", 6),
        ("code.review", 7), ("agents.research", 2),
    ]
)  # fmt: skip

_VERSION_ON: Final = {
    tag: tuple(
        next(version for since, version in reversed(mix.versions) if since <= day)
        for day in range(1, DAYS + 1)
    )
    for tag, mix in ENDPOINTS.items()
}


def prompt_version(endpoint_tag: str, day: int) -> str:
    """The prompt that the endpoint used on that day of the month."""
    return _VERSION_ON[endpoint_tag][day - 1]


_HOURS: Final = (
    3, 2, 2, 2, 2, 3, 5, 9, 14, 18, 20, 20, 18, 20, 22, 22, 21, 19, 16, 13, 10, 8, 6, 4,
)  # fmt: skip
_WEEKDAYS: Final = (100, 108, 110, 106, 92, 38, 34)


def calls_by_hour(total: int) -> list[tuple[datetime, int]]:
    """How many of `total` calls fall into each UTC hour of the month: busy by day, quiet at night
    and at weekends. The counts sum to `total`."""
    hours = [START + timedelta(hours=i) for i in range(24 * DAYS)]
    weights = [_HOURS[hour.hour] * _WEEKDAYS[hour.weekday()] for hour in hours]
    scale = sum(weights)
    edges = [total * weight // scale for weight in accumulate(weights)]
    return [
        (hour, edge - before)
        for hour, before, edge in zip(hours, [0, *edges[:-1]], edges, strict=True)
    ]


def user_of(tenant: str, u: float) -> str:
    """A user of the tenant; a few send most of the calls (the rank grows with the cube of `u`)."""
    users = USERS[tenant]
    return users[int(len(users) * u * u * u)]


def stream(seed: int) -> Random:
    """The one source of chance. Only `random()` is drawn from it: its sequence is the same in
    every Python since 3.2."""
    return Random(seed)  # noqa: S311 - made-up traffic, not a secret
