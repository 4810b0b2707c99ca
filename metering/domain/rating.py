"""Rating: what an event should have cost, line by line, at the provider's price of that instant.

Cost is exact. Every line is a quantity of one class times a unit price of one price row; classes
are disjoint, so the lines' quantities add up to the inclusive counts of the event and their
amounts to its cost. `priced` with a cost of 0 (nothing was used), `free` (used, at a price of 0)
and `unpriced` (nobody knows) are three different answers; none is ever turned into another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final, Literal, NamedTuple

from metering.domain.leaf_counts import Count, Plan, leaf_counts, plan_of, token_counts, with_totals
from metering.domain.money import EXACT, RATING_QUANTUM
from metering.domain.price_book import PriceBook, PricedBy
from metering.domain.rate_cards import Applied, Level, PlainRates, RateCard
from metering.domain.units import CLASS_OF_UNIT, unit_named
from metering.domain.usage import COUNTS, Counts, UsageEvent, counts_of

Pricing = Literal["priced", "unpriced", "free"]

RATED_FIELDS: Final = (
    *("provider", "model", "model_executed", "occurred_at", "service_tier", "batch", "region"),
    *("served_from", "units", *COUNTS),
)
"""All of an event that its price can hang on: a stored event with these is rated as it was."""

_ZERO: Final = Decimal(0)
_EXACTLY: Final = Context(
    prec=EXACT.prec,
    rounding=EXACT.rounding,
    traps=[DivisionByZero, Inexact, InvalidOperation, Overflow],
)
"""Raises where it would have to round, so that no digit of a cost is ever lost in silence."""
_multiply = _EXACTLY.multiply
_add = _EXACTLY.add
_new = tuple.__new__  # builds a named tuple in half the time that calling its class takes


class RatedLine(NamedTuple):
    """`quantity` units of the class at `unit_price` for one of them, from one price row.

    `amount` is the exact product; where the price of a single unit does not terminate (a price by
    the hour), the product of the quoted price is rounded to `RATING_QUANTUM`, half to even, and
    the unit price is shown rounded likewise.
    """

    token_class: str
    quantity: int | Decimal
    unit_price: Decimal
    amount: Decimal
    price_id: int


class Rating(NamedTuple):
    """The cost of one event. `cost` is `None` if and only if it is unpriced; otherwise it is the
    exact sum of the lines. `reason` says why there is no price, or, beside a price, what stands
    to be doubted about it (several are joined by commas): `tier_not_priced:flex`,
    `not_priced:web_search`, `output_not_reported`."""

    pricing: Pricing
    cost: Decimal | None
    currency: str
    lines: tuple[RatedLine, ...]
    reason: str | None


def priced_by(event: UsageEvent, model: str | None = None) -> PricedBy:
    """What the event's price hangs on, of the model that executed unless another one is named."""
    executed = model or event.model_executed or event.model
    return _new(PricedBy, (event.provider, executed, event.service_tier, event.batch, event.region))


def rate(event: UsageEvent, book: PriceBook, *, model: str | None = None) -> Rating:
    """Price the event with the prices valid at its instant, for the model that executed.

    `model` prices it as if another one had run. A reply from the caller's own cache costs
    nothing. Nothing is raised: what cannot be priced is unpriced, with the reason.
    """
    if event.served_from == "caller_cache":
        return Rating("free", _ZERO, book.currency, (), "caller_cache")
    card = book.look_up(priced_by(event, model), event.occurred_at)
    if isinstance(card, str):
        return _unpriced(book.currency, card)
    return rate_with(event, card)


def rate_with(event: UsageEvent, card: RateCard, counts: Counts | None = None) -> Rating:
    """Price the event, which a provider answered, with the card that was found for it. `counts` are
    the event's own, where they are at hand."""
    try:
        return _rate_at(event, counts or counts_of(event), card)
    except ArithmeticError:
        return _unpriced(card.currency, "quantity_out_of_range")


def _rate_at(event: UsageEvent, counts: Counts, card: RateCard) -> Rating:
    total_input, read, write, write_1h, output, reasoning, *media = counts
    if total_input is None or output is None or event.units or any(media):
        return _rate_units(event, card)
    rates = (card.level(total_input) if card.thresholds else card.levels[0]).plain
    if rates is None or (output and rates.output is None):
        return _rate_units(event, card)
    return _rate_text(
        (total_input, read or 0, write or 0, write_1h or 0, output, reasoning or 0), card, rates
    )


def _rate_text(  # noqa: C901 - one branch a class, unrolled: it runs for every event
    counts: tuple[int, int, int, int, int, int], card: RateCard, rates: PlainRates
) -> Rating:
    """A call of text alone, both totals known: the common case, without any general machinery."""
    total_input, read, write, write_1h, output, reasoning = counts
    text = total_input
    if text < 0 or output < 0:
        return _unpriced(card.currency, "negative_count")
    if read or write or write_1h or reasoning:
        if read < 0 or write < 0 or write_1h < 0 or reasoning < 0:
            return _unpriced(card.currency, "negative_count")
        write = max(write, write_1h)
        text -= read + write
        write -= write_1h
        if reasoning > output:
            return _unpriced(card.currency, "output_tokens_exceeded")
        if text < 0:
            return _unpriced(card.currency, "input_tokens_exceeded")

    cost = _ZERO
    lines = []
    if text:
        cost = amount = _multiply(rates.input, text)
        lines.append(_new(RatedLine, ("input", text, rates.input, amount, rates.input_id)))
    if read:
        amount = _multiply(rates.cache_read, read)
        cost = _add(cost, amount)
        lines.append(
            _new(RatedLine, ("cache_read", read, rates.cache_read, amount, rates.cache_read_id))
        )
    if write:
        amount = _multiply(rates.cache_write, write)
        cost = _add(cost, amount)
        lines.append(
            _new(RatedLine, ("cache_write", write, rates.cache_write, amount, rates.cache_write_id))
        )
    if write_1h:
        price = rates.cache_write_1h
        amount = _multiply(price, write_1h)
        cost = _add(cost, amount)
        lines.append(
            _new(RatedLine, ("cache_write_1h", write_1h, price, amount, rates.cache_write_1h_id))
        )
    if output and rates.output is not None:
        amount = _multiply(rates.output, output)
        cost = _add(cost, amount)
        lines.append(_new(RatedLine, ("output", output, rates.output, amount, rates.output_id)))
    if not cost and _is_free(lines):
        return Rating("free", _ZERO, card.currency, tuple(lines), card.reason)
    return _new(Rating, ("priced", cost, card.currency, tuple(lines), card.reason))


def _rate_units(event: UsageEvent, card: RateCard) -> Rating:
    """Any call: whatever was counted, at whatever has a price."""
    counted = _counted(event)
    if isinstance(counted, str):
        return _unpriced(card.currency, counted)
    if card.nothing_listed:
        return Rating("free", _ZERO, card.currency, (), card.reason or "no_rates_listed")
    counts, names, unknown = counted
    level = card.level(event.input_tokens or 0)
    if "requests" in level.units:
        counts.setdefault("requests", 1)
    split = _split(level, with_totals(counts, level.priced))
    if isinstance(split, str):
        return _unpriced(card.currency, split)
    plan, leaves = split
    lines, unpriced = _lines(plan, leaves, names, level)
    reasons = [card.reason] if card.reason else []
    reasons += [f"not_priced:{name}" for name in (*unpriced, *unknown)]
    if (unpriced or unknown) and not lines:
        return _unpriced(card.currency, ",".join(reasons))
    reasons += _half_reported(event, level)
    cost = _ZERO
    for line in lines:
        cost = _add(cost, line.amount)
    pricing: Pricing = "free" if not cost and _is_free(lines) else "priced"
    return Rating(pricing, cost, card.currency, tuple(lines), ",".join(reasons) or None)


def _counted(event: UsageEvent) -> tuple[dict[str, Count], dict[str, str], list[str]] | str:
    """Everything the event counted, by unit; the names that it gave to units that are no token
    classes; and the names of used units that no price list can know. Or why its counts cannot be
    used."""
    counts = token_counts(event)
    if any(count < 0 for count in counts.values()):
        return "negative_count"
    if counts.get("output_reasoning_tokens", 0) > counts.get("output_tokens", 0):
        return "output_tokens_exceeded"
    if not event.units:
        return (counts, {}, []) if counts else "no_usage"
    names: dict[str, str] = {}
    unknown = []
    for name, quantity in event.units.items():
        if not quantity.is_finite() or quantity < 0:
            return "negative_count"
        unit = unit_named(name)
        if unit is None:
            if quantity:
                unknown.append(name)
            continue
        if unit.name in counts:
            return f"counted_twice:{name}"
        counts[unit.name] = quantity
        names[unit.name] = CLASS_OF_UNIT.get(unit.name, name)
    return counts, names, unknown


def _split(level: Level, counts: Mapping[str, Count]) -> tuple[Plan, dict[str, Count]] | str:
    """The counts in disjoint leaves: the classes that bills keep apart as far as the counts allow
    it (audio that costs what text does may overlap what was cached), else what has a price."""
    reported = tuple([(unit, count > 0) for unit, count in counts.items()])
    reason = ""
    for apart in (True, False):
        plan = plan_of(level.priced, reported, apart=apart)
        if isinstance(plan, str):
            return plan
        leaves = leaf_counts(plan, counts)
        if not isinstance(leaves, str):
            return plan, leaves
        reason = leaves
    return reason


def _lines(
    plan: Plan, leaves: Mapping[str, Count], names: Mapping[str, str], level: Level
) -> tuple[list[RatedLine], list[str]]:
    """The priced lines in the order of the units, and the names of what has no price at all."""
    lines, unpriced = [], []
    for unit, _, priced_as in plan.lines:
        if not leaves[unit]:
            continue
        token_class = names.get(unit) or CLASS_OF_UNIT.get(unit, unit)
        if priced_as is None:
            unpriced.append(token_class)
        else:
            lines += _lines_of(token_class, leaves[unit], level.units[priced_as])
    unpriced += [names.get(unit) or CLASS_OF_UNIT.get(unit, unit) for unit in plan.unheld]
    return lines, unpriced


def _lines_of(token_class: str, quantity: Count, applied: Applied) -> list[RatedLine]:
    """One line; of a marginal price one for each part that was reached; and one for what is
    missing to the minimum, which is no use and so has a class of its own."""
    if applied.steps:
        lines = []
        ends = [*(above for above, _ in applied.steps[1:]), None]
        for (above, step), end in zip(applied.steps, ends, strict=True):
            reached = quantity - above if end is None else min(quantity, end) - above
            if reached > 0:
                name = f"{token_class}_above_{above}" if above else token_class
                lines.append(_line(name, reached, step))
        return lines
    lines = [_line(token_class, quantity, applied)]
    if applied.minimum is not None and quantity < applied.minimum:
        lines.append(_line(f"{token_class}_to_minimum", applied.minimum - quantity, applied))
    return lines


def _line(token_class: str, quantity: Count, applied: Applied) -> RatedLine:
    if applied.terminates:
        amount = _multiply(applied.unit_price, quantity)
    else:
        quoted = _multiply(applied.price, quantity)
        amount = EXACT.quantize(EXACT.divide(quoted, Decimal(applied.per)), RATING_QUANTUM)
    return RatedLine(token_class, quantity, applied.unit_price, amount, applied.price_id)


def _half_reported(event: UsageEvent, level: Level) -> list[str]:
    """What a source left out that the model charges for, where it reported the other half."""
    if event.input_tokens is None and event.output_tokens is None:
        return []
    return [
        f"{name}_not_reported"
        for name, count in (("input", event.input_tokens), ("output", event.output_tokens))
        if count is None and (applied := level.units.get(f"{name}_tokens")) and applied.unit_price
    ]


def _is_free(lines: Sequence[RatedLine]) -> bool:
    """Whether something was used, and all of it at a price of 0."""
    return bool(lines) and all(not line.unit_price for line in lines)


def _unpriced(currency: str, reason: str) -> Rating:
    return Rating("unpriced", None, currency, (), reason)
