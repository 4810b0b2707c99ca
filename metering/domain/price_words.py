"""Prices and their conditions in words that a person can check against a contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metering.domain.money import plain
from metering.domain.prices import Conditions, DailyWindow, UnitPrice

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def window_in_words(window: DailyWindow) -> str:
    """`22:00 to 06:00 Asia/Shanghai on Mon, Tue`."""
    hours = f"{window.start:%H:%M} to {window.end:%H:%M} {window.zone}"
    days = ", ".join(_DAYS[day - 1] for day in window.weekdays)
    return f"{hours} on {days}" if days else hours


def conditions_in_words(on: Conditions) -> str:
    """`standard`, or what must hold of a call: `service tier = flex, 22:00 to 06:00 UTC`."""
    said = [f"{key.replace('_', ' ')} = {value}" for key, value in on.when.items()]
    if on.window is not None:
        said.append(window_in_words(on.window))
    return ", ".join(said) or "standard"


def thresholds_in_words(price: UnitPrice) -> str:
    """Where another price begins, and what a request pays for at least; empty where nothing
    does."""
    return "; ".join(_thresholds(price))


def _thresholds(price: UnitPrice) -> Iterator[str]:
    for tier in price.tiers:
        of = "of the unit itself" if price.marginal else "input tokens"
        scope = ", for what lies beyond" if price.marginal else ""
        where = f"from {tier.start:,}" if tier.inclusive else f"above {tier.start:,}"
        yield f"{plain(tier.price)} {where} {of}{scope}"
    if price.minimum is not None:
        yield f"at least {price.minimum:,f} are paid for"


def period_in_words(price: UnitPrice) -> str:
    """What of the price hangs on the day or the month: no call's cost does; empty where nothing
    does."""
    if price.allowance is not None:
        free = price.allowance
        shared = f", shared by {free.group}" if free.group else ""
        return f"the first {free.quantity:,f} of a {free.every} are free{shared}"
    volumes = [f"{plain(each.price)} beyond {each.start:,f} a month" for each in price.volumes]
    return "; ".join(volumes)


def unit_price_in_words(price: UnitPrice, currency: str) -> str:
    """`2.5 USD per 1,000,000; 5 above 272,000 input tokens`."""
    base = f"{plain(price.base)} {currency} per {price.per:,}"
    return "; ".join(filter(None, (base, thresholds_in_words(price), period_in_words(price))))
