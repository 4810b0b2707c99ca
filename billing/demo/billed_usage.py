"""What the providers saw of the month, added up to the grain of their bills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from billing.demo import planted
from billing.demo.catalogue import unit_price
from billing.demo.month import LONG_CONTEXT_TOKENS, UNSEEN, Call
from metering.domain.money import EXACT

WEB_SEARCH: Final = "web_search"
CLASSES: Final = ("input", "cache_read", "cache_write", "cache_write_1h", "output", WEB_SEARCH)

_Key = tuple[str, str, int, str, str, str, bool]


class BilledCell(NamedTuple):
    """One class of tokens that a provider counted on a day, with both books of it.

    `model` is the name on the bill. `metered` is what the usage should have cost by the price
    list, as it was reported (`None`: no list prices it); `billed` is what the provider asks
    before it rounds (`None`: it asks nothing).
    """

    provider: str
    project: str
    day: int
    model: str
    tier: str
    token_class: str
    quantity: int
    metered: Decimal | None
    billed: Decimal | None


class ProviderLog:
    """Adds calls up; `cells` gives the sums in a fixed order."""

    def __init__(self) -> None:
        self._sums: dict[_Key, list[int]] = {}

    def add(self, calls: Iterable[Call]) -> None:
        sums_of = self._sums
        for payload, kind, day, project, model, billed in calls:
            provider = payload["provider"]
            if provider == "vllm" or kind in UNSEEN:
                continue
            get = payload.get
            tier = "batch" if get("batch") else get("serviceTier", "standard")
            sent = payload["inputTokens"]
            asked = payload["model"] if model == planted.REROUTED_TO else model
            executed = model if billed else ""
            key = (provider, project, day, asked, executed, tier, sent > LONG_CONTEXT_TOKENS)
            sums = sums_of.get(key)
            if sums is None:
                sums = sums_of[key] = [0] * len(CLASSES)
            cached = get("cachedInputTokens", 0)
            written = get("cacheWriteTokens", 0)
            sums[0] += sent - cached - written
            sums[1] += cached
            if written:
                written_1h = get("cacheWrite1hTokens", 0)
                sums[2] += written - written_1h
                sums[3] += written_1h
            sums[4] += payload["outputTokens"]
            if "units" in payload:
                sums[5] += payload["units"]["web_search"]

    def cells(self) -> Iterator[BilledCell]:
        """Every class with a quantity, by provider, project, day, model, tier and class."""
        for key in sorted(self._sums):
            provider, project, day, asked, executed, tier, long = key
            for token_class, quantity in zip(CLASSES, self._sums[key], strict=True):
                if not quantity:
                    continue
                place = (provider, day, tier, token_class, quantity)
                metered = (
                    None if asked == planted.PREVIEW_MODEL else _cost(asked, *place, long=long)
                )
                billed = _cost(executed, *place, long=long) if executed else None
                if executed == planted.DRIFT_MODEL_BILLED and day >= planted.DRIFT_FROM_DAY:
                    assert billed is not None
                    billed = EXACT.multiply(billed, planted.DRIFT_FACTOR)
                yield BilledCell(
                    provider, project, day, executed or asked, tier, token_class, quantity,
                    metered, billed,
                )  # fmt: skip


def _cost(
    model: str, provider: str, day: int, tier: str, token_class: str, quantity: int, *, long: bool
) -> Decimal:
    price = unit_price(provider, model, day, tier, token_class, long=long)
    return EXACT.multiply(price, Decimal(quantity))
