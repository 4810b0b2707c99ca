"""Re-ratings of open months, to read: who did them, why, and what they changed."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from metering.api.finance_access import FinanceView
from metering.api.paging import Page, PageParameters, page_of, page_of_rows
from metering.api.reading import answer, described
from metering.api.values import Exact, Instant, Text, Whole
from metering.models import Rerating, ReratingEnd
from metering.pricing.rerating_acts import differences_of, totals_of


class ReratingSerializer(serializers.Serializer[Any]):
    """One act on one month."""

    id = Whole("its number", 3)
    month = Text("the month whose events were rated with the prices as they stood", "2026-10")
    model = Text("the executed model that was rated alone; empty: all were", "")
    author = Text("who had it done", "controller")
    reason = Text("why", "the contract came late")
    started_at = Instant("when it began")
    ended_at = Instant("when all was looked at; null: it goes on, or was cut off", null=True)
    looked_at = Whole("how many events it looked at", 1000, null=True)
    prices_digest = Text("SHA-256 over the price lists that it rated with", "9f2c…")
    usage_digest = Text("SHA-256 over the month's metered usage as it found it", "1b7e…")
    usage_digest_after = Text("and as it left it", "77c0…", null=True)


class ReratingTotalSerializer(serializers.Serializer[Any]):
    """What the events that differ cost in one currency."""

    currency = Text("ISO 4217", "USD")
    before = Exact("what they cost before", "12.5")
    after = Exact("what they cost afterwards", "11.25")


class ReratingDetailSerializer(ReratingSerializer):
    """One act, with what it came to."""

    changed = Whole("how many events cost otherwise now", 120)
    totals = ReratingTotalSerializer(many=True)


class ReratingDifferenceSerializer(serializers.Serializer[Any]):
    """What of a model's events differed alike."""

    provider = Text("the provider", "openai")
    model = Text("the executed model", "gpt-4o-2024-08-06")
    pricing_before = Text("`priced`, `unpriced` or `free`", "unpriced")
    pricing_after = Text("`priced`, `unpriced` or `free`", "priced")
    currency_before = Text("ISO 4217", "USD")
    currency_after = Text("ISO 4217", "USD")
    events = Whole("how many events", 120)
    cost_before = Exact("what they cost before; unpriced: nothing", "0")
    cost_after = Exact("what they cost afterwards", "11.25")


class ReratingDifferencesSerializer(serializers.Serializer[Any]):
    """All differences of an act: one for each way in which a model's events differ."""

    items = ReratingDifferenceSerializer(many=True, help_text="those of most events first")


_PATH = {"rerating": "its number"}


class _ReratingView(FinanceView):
    permission = "metering.view_rerating"

    def found(self, request: Request, number: int) -> Rerating:
        self.asked(request)
        act = Rerating.objects.filter(pk=number).first()
        if act is None:
            raise NotFound(f"there is no re-rating {number}; the list has those there are")
        return act


class ReratingsView(_ReratingView):
    parameters = PageParameters

    @described(
        "finance_reratings",
        "Re-ratings",
        "Of all months, the newest first, in pages.",
        page_of(ReratingSerializer),
        parameters=PageParameters,
    )
    def get(self, request: Request) -> Response:
        page = page_of_rows(Rerating.objects.all(), self.asked(request), downwards=True)
        ends = ReratingEnd.objects.in_bulk([act.pk for act in page.items])
        shown = Page([_fields(act, ends.get(act.pk)) for act in page.items], page.next)
        return answer(page_of(ReratingSerializer), shown)


class ReratingView(_ReratingView):
    @described(
        "finance_rerating",
        "A re-rating",
        "Who had it done and why, by which prices, and what all differences come to.",
        ReratingDetailSerializer,
        path=_PATH,
    )
    def get(self, request: Request, rerating: int) -> Response:
        act = self.found(request, rerating)
        differences = differences_of(act.pk)
        changed = sum(each.events for each in differences)
        totals = [each._asdict() for each in totals_of(differences)]
        end = ReratingEnd.objects.filter(pk=act.pk).first()
        value = {**_fields(act, end), "changed": changed, "totals": totals}
        return answer(ReratingDetailSerializer, value)


class ReratingDifferencesView(_ReratingView):
    @described(
        "finance_rerating_differences",
        "A re-rating's differences",
        "What each model's events cost before and afterwards, by how their pricing changed.",
        ReratingDifferencesSerializer,
        path=_PATH,
    )
    def get(self, request: Request, rerating: int) -> Response:
        found = differences_of(self.found(request, rerating).pk)
        return answer(ReratingDifferencesSerializer, {"items": [each._asdict() for each in found]})


def _fields(act: Rerating, end: ReratingEnd | None) -> dict[str, Any]:
    return {
        **{name: getattr(act, name) for name in _OWN},
        "ended_at": end and end.ended_at,
        "looked_at": end and end.looked_at,
        "usage_digest_after": end and end.usage_digest,
    }


_OWN: Final = (
    *("id", "month", "model", "author", "reason", "started_at"),
    *("prices_digest", "usage_digest"),
)
