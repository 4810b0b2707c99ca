"""One event's page: its price, its owners, what was decided, and the report as it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.utils.html import format_html

from metering.admin.figures import (
    NOTHING,
    digest,
    exact,
    figure,
    instant,
    label,
    link,
    number,
    validity,
)
from metering.admin.tables import Column, Section, Text, figures, text
from metering.domain.money import plain
from metering.domain.usage import COUNTS
from metering.event_story import USAGE_IN_WORDS, EventStory
from metering.pricing.explanation import Explanation, PriceFacts, explain

ROUTES: Final = {
    "cost_centre": "the cost centre that the event named",
    "endpoint_tag": "its endpoint tag",
    "user": "its user",
    "tenant": "its tenant",
    "source": "its source's default",
    "unallocated": "nobody: no route led to an owner",
}
_SAID_ELSEWHERE: Final = ("event_key", "occurred_at", "received_at", *COUNTS)


def sections_of(story: EventStory) -> Sequence[Section]:
    """The event's page, table by table; what never happened has none."""
    return [section for section in _sections(story) if section.rows or section.title == "Cost"]


def _sections(story: EventStory) -> Iterator[Section]:
    found = explain(story.event_key)
    yield _cost(story, found)
    yield _considered(found)
    yield _owner(story)
    yield _shares(story)
    yield _tokens(story)
    yield _revisions(story)
    yield _dispositions(story)
    yield _in_place_of(story)
    yield _report(story)


def _cost(story: EventStory, found: Explanation) -> Section:
    currency, reason = story.valued["currency"], story.valued["pricing_reason"]
    notes = [f"Not all of it could be priced: {reason}."] if reason else []
    quality = story.reported["usage_quality"]
    if quality not in ("provider_reported", "reported"):
        notes.append(f"The usage is {USAGE_IN_WORDS[quality]}.")
    note = " ".join(notes)
    return Section(
        "Cost",
        [
            *text("class"),
            *figures("quantity", "price per unit", "amount"),
            Column("price row"),
            *text("of the list", "as quoted", "valid"),
        ],
        [
            (
                line.token_class.replace("_", " "),
                figure(line.quantity),
                exact(line.unit_price, currency, extra=16),
                exact(line.amount, currency, extra=16),
                link("metering_pricerow", line.price_row, f"price {line.price_row}"),
                *_price_facts(price, quoted),
            )
            for line, price, _, quoted in found.lines
        ],
        note=note,
        totals=("total", "", "", exact(story.valued["cost"], currency, extra=16), "", "", "", "")
        if story.lines
        else (),
        empty=f"No line: the call is {story.valued['pricing']}.",
    )


def _price_facts(price: PriceFacts | None, quoted: str) -> tuple[Text, Text, Text]:
    """The list that a row is of, its price of the class, and from when to when it holds."""
    if price is None:
        return NOTHING, NOTHING, NOTHING
    return price.source, quoted or NOTHING, validity(price.valid_from, price.valid_to)


def _considered(found: Explanation) -> Section:
    """Why these prices and no others: each book, and every row that it has of the model."""
    rows: list[tuple[Text, ...]] = []
    for book in found.books:
        rows.append((book.book, NOTHING, book.why))
        rows += [
            (
                NOTHING,
                link("metering_pricerow", each.price.id, f"price {each.price.id}"),
                f"{'chosen' if each.is_used else 'not chosen'}: {each.why}",
            )
            for each in book.verdicts
        ]
    near = ", ".join(f"{each.provider}/{each.model_id}" for each in found.candidates)
    notes = [f"Nearest models with a price: {near}."] if near else []
    if not found.is_current:
        now = (
            "unpriced"
            if found.now.cost is None
            else f"{plain(found.now.cost)} {found.now.currency}"
        )
        notes.append(f"By the prices as they stand now: {now}; re-rating takes them over.")
    return Section("Why these prices", text("book", "price", "why"), rows, note=" ".join(notes))


def _owner(story: EventStory) -> Section:
    owned = story.valued
    route = ", ".join(
        ROUTES.get(part.strip(), part.strip()) for part in owned["owner_route"].split(",")
    )
    user = owned["user_pseudonym"]
    rows: list[tuple[Text, Text]] = [
        ("cost centre", link("metering_costcentre", owned["cost_centre"], owned["cost_centre"])),
        ("found by", route),
        (
            "tenant",
            link("metering_tenant", owned["tenant"], owned["tenant"])
            if owned["tenant"]
            else NOTHING,
        ),
        (
            "user",
            format_html("{} {}", digest(str(user), length=36), label("none", owned["user_kind"]))
            if user
            else owned["user_kind"],
        ),
    ]
    return Section("Owner", text("", "as it stands now"), rows)


def _shares(story: EventStory) -> Section:
    currency = story.valued["currency"]
    return Section(
        "Shared between",
        [*text("tenant", "cost centre"), *figures("input tokens", "output tokens", "cost")],
        [
            (
                share.tenant or NOTHING,
                share.cost_centre,
                figure(share.input_tokens),
                figure(share.output_tokens),
                exact(share.cost, currency, extra=16),
            )
            for share in story.shares
        ],
        note="One call for several tenants, divided by the tokens each contributed.",
    )


def _tokens(story: EventStory) -> Section:
    return Section(
        "Tokens as reported",
        [*text("count"), *figures("tokens")],
        [
            (name.removesuffix("_tokens").replace("_", " "), figure(story.reported[name]))
            for name in COUNTS
            if story.reported[name] is not None
        ],
        note="Input includes cached and cache-written tokens, output includes reasoning. "
        "Counts that were not reported are not listed: not reported is not zero.",
    )


def _revisions(story: EventStory) -> Section:
    return Section(
        "Revisions",
        [*text("", "made", "by", "reason", "tenant", "cost centre"), *figures("cost")],
        [
            (
                str(each.number),
                instant(each.made_at),
                each.author,
                each.reason,
                each.tenant,
                each.cost_centre,
                exact(each.cost, each.currency, extra=16),
            )
            for each in story.revisions
        ],
    )


def _dispositions(story: EventStory) -> Section:
    return Section(
        "Whether it counts",
        text("state", "reason", "since", "by", "instead of it"),
        [
            (
                label(each.state),
                each.reason,
                instant(each.made_at),
                each.author,
                link("metering_usageevent", each.superseded_by, each.superseded_by)
                if each.superseded_by
                else NOTHING,
            )
            for each in story.dispositions
        ],
    )


def _in_place_of(story: EventStory) -> Section:
    return Section(
        "In the place of",
        text("event", "source", "request", "why"),
        [
            (
                link("metering_usageevent", each.event_key, each.event_key),
                each.source,
                each.external_request_id,
                each.reason,
            )
            for each in story.in_place_of
        ],
        note="These reports stay as they came, and count no longer.",
    )


def _report(story: EventStory) -> Section:
    return Section(
        "The report",
        text("field", "value"),
        [
            (name.replace("_", " "), _plainly(value))
            for name, value in story.reported.items()
            if name not in _SAID_ELSEWHERE and value not in (None, "", {}, [])
        ],
        note=format_html(
            "Sealed as it came: nothing of it can change. Its digest is {}.",
            digest(story.seal_digest),
        ),
    )


def _plainly(value: Any) -> Text:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{key} = {_plainly(each)}" for key, each in value.items())
        case list():
            return "; ".join(str(_plainly(each)) for each in value)
        case int() | Decimal():
            return number(value)
        case UUID():
            return str(value)
        case _:
            return str(value)
