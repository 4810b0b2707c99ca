"""The cost of one event, explained."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from metering.api.finance_access import FinanceView
from metering.api.reading import answer, described
from metering.api.values import Anything, Exact, Instant, Text, Truth, Whole
from metering.event_search import SeveralEvents, UnknownEvent, find_event
from metering.pricing.explanation import explain
from metering.pricing.explanation_values import as_value


class PriceSerializer(serializers.Serializer[Any]):
    """A price row: what it says, where it comes from, from when to when it holds."""

    id = Whole("the row's number", 12)
    book = Text("the book: a public list, `manual`, or `contract:` and its name", "genai-prices")
    source = Text("the edition that brought it", "genai-prices 0.0.62")  # type: ignore[assignment]
    provider = Text("as the list calls it", "openai")
    model = Text("as the list calls it", "gpt-4o-mini")
    conditions = Anything(
        "on which calls it bears; empty: on all", {"when": {"processing": "batch"}}
    )
    unit_prices = Anything("what how many of each unit cost", {"input_tokens": {"per": 1000000}})
    currency = Text("ISO 4217", "USD")
    valid_from = Instant("from when it holds; null: always has", null=True)
    valid_to = Instant("from when it holds no more; null: it still does", null=True)
    derived_from = Whole("the public price that a contract takes a discount from", null=True)
    discount_percent = Exact("what the contract takes off it", "15", null=True)


class CostLineSerializer(serializers.Serializer[Any]):
    """A class of what was used, at one price."""

    token_class = Text("the class", "input")
    quantity = Exact("how much of it", "700")
    unit_price = Exact("the price of one", "0.00000015")
    amount = Exact("what it comes to", "0.000105")
    arithmetic = Text("the product in words", "700 times 0.00000015 = 0.000105")
    quoted = Text(
        "the row's price of the class, with where another begins; empty: the row is gone",
        "0.15 USD per 1,000,000; 0.3 above 200,000 input tokens",
    )
    price = PriceSerializer(allow_null=True, help_text="the row that priced it")


class ConsideredSerializer(serializers.Serializer[Any]):
    """A price row that was considered."""

    price_row = Whole("its number", 12)
    conditions = Anything("on which calls it bears", {})
    valid_from = Instant("from when it holds; null: always has", null=True)
    valid_to = Instant("from when it holds no more; null: it still does", null=True)
    used = Truth("whether it priced anything of the event", True)  # noqa: FBT003 - an example
    why = Text("why it did, or did not", "it held until 2026-10-14 00:00 UTC")


class AskedBookSerializer(serializers.Serializer[Any]):
    """A book of prices, in the order in which they are asked."""

    book = Text("its name", "genai-prices")
    source = Text("its edition at the event's instant", "genai-prices 0.0.62")  # type: ignore[assignment]
    why = Text("which of its models the call means", "openai/gpt-4o is its openai/gpt-4o")
    prices = ConsideredSerializer(many=True)


class CandidateSerializer(serializers.Serializer[Any]):
    """A model with a price, named nearly as one without."""

    provider = Text("as the list calls it", "openai")
    model = Text("as the list calls it", "gpt-4o")


class RatingSerializer(serializers.Serializer[Any]):
    """A cost as it would be."""

    pricing = Text("`priced`, `unpriced` or `free`", "priced")
    reason = Text("why it has no price, or is to be doubted", null=True)
    cost = Exact("the cost; null: unpriced", "0.00042", null=True)
    currency = Text("ISO 4217", "USD")


class PredecessorSerializer(serializers.Serializer[Any]):
    """A report whose place the event has taken."""

    event = Text("its key", "0a51c0de-7b1e-8c44-9a0d-5d2f6c1e8b70")
    state = Text("`merged` or `superseded`", "merged")
    reason = Text("why it counts no longer", "another route reported the same call")
    source = Text("which source reported it", "gateway")  # type: ignore[assignment]
    external_request_id = Text("as that source named it", "gw_01")


class EventCostSerializer(serializers.Serializer[Any]):
    """What one event should have cost, and why."""

    event = Text("its key", "9f3c1a52-7b1e-8c44-9a0d-5d2f6c1e8b70")
    external_request_id = Text("as the source named it", "req_01")
    occurred_at = Instant("when it occurred")
    provider = Text("as the source named it", "openai")
    model = Text("that was asked for", "gpt-4o")
    model_executed = Text("that ran", "gpt-4o-2024-08-06")
    state = Text("`counted` until a disposition says otherwise", "counted")
    superseded_by = Text("the event that counts instead; null: none does", null=True)
    in_place_of = PredecessorSerializer(many=True)
    revision = Whole("the number of the revision that counts; 0: as it came in", 0)
    usage_quality = Text(
        "whose its counts are: `provider_reported`, `reported`, `estimated`, `inconsistent` or"
        " `missing`",
        "reported",
    )
    pricing = Text("`priced`, `unpriced` or `free`", "priced")
    reason = Text("why it has no price, or is to be doubted", null=True)
    cost = Exact("the stored cost; null: unpriced", "0.00042", null=True)
    currency = Text("ISO 4217", "USD")
    lines = CostLineSerializer(many=True)
    books = AskedBookSerializer(many=True)
    candidates = CandidateSerializer(many=True)
    now = RatingSerializer(help_text="by the prices as they stand now")
    requested = RatingSerializer(
        allow_null=True, help_text="for the model that was asked for; null where that one ran"
    )
    is_current = Truth("whether today's prices come to the stored cost", True)  # noqa: FBT003 - an example


class EventCostView(FinanceView):
    permission = "metering.view_usageevent"

    @described(
        "finance_event_cost",
        "An event's cost, explained",
        "The lines, the price rows beneath them, why these were chosen and others were not.",
        EventCostSerializer,
        path={"event": "its key, or the external request id of a call that was tried once"},
    )
    def get(self, request: Request, event: str) -> Response:
        self.asked(request)
        try:
            found = as_value(explain(find_event(event)))
        except (UnknownEvent, SeveralEvents) as error:
            raise NotFound(str(error)) from error
        return answer(EventCostSerializer, found)
