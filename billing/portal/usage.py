"""What a tenant used: in totals, and by days of its own clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from billing.customers import Customer, customer_on
from billing.domain.charges import left_out_by
from billing.domain.cycles import start_of_day, zone_of
from billing.portal.access import PortalView, now, tenant_of
from metering.api.paging import PageParameters, page_of, paged, position_of
from metering.api.reading import answer, bounded_day, described
from metering.api.values import Day, Instant, Text, Truth, Whole
from metering.domain.periods import Month, Period
from metering.usage_series import Counting, Used, usage_by_day, usage_by_standing

MOST_DAYS: Final = 400


class DayRangeParameters(serializers.Serializer[Any]):
    """Days of the tenant's own clock, half-open; both or neither."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        own = {
            "from": bounded_day("first day, by the tenant's clock; default: the running cycle's"),
            "to": bounded_day("first day after; with `from`, and at most 400 days later"),
        }
        return {**own, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        first, end = attrs.get("from"), attrs.get("to")
        if (first is None) != (end is None):
            missing = "from" if first is None else "to"
            raise ValidationError({missing: ["give `from` and `to`, or neither"]})
        if first is not None and end is not None:
            if end <= first:
                raise ValidationError({"to": [f"{end} is not after {first}; `to` is exclusive"]})
            if (end - first).days > MOST_DAYS:
                raise ValidationError(
                    {"to": [f"{(end - first).days} days; ask for at most {MOST_DAYS} at once"]}
                )
        return attrs


class SeriesParameters(DayRangeParameters, PageParameters):
    """Days, and what they are broken down by."""

    by = serializers.ChoiceField(
        choices=["total", "model", "endpoint"],
        default="total",
        help_text="a row for each day, for each day and requested model, or day and endpoint tag",
    )
    usage = serializers.ChoiceField(
        choices=["counted", "all"],
        default="counted",
        help_text="what the plan counts, or all calls (test traffic, failed calls, …)",
    )


class _UsedSerializer(serializers.Serializer[Any]):
    requests = Whole("calls; a call shared with other tenants is a request of its own one only", 2)
    tokens = Whole("tokens of all classes", 659_000)
    classes = serializers.DictField(
        child=serializers.IntegerField(),
        read_only=True,
        help_text="tokens by disjoint class: `input` is uncached text, `output` holds reasoning;"
        " a class of zero is left out",
    )


class UsedSerializer(_UsedSerializer):
    """Requests and tokens."""


class StandingSerializer(_UsedSerializer):
    """What was used in calls that the plan treats alike."""

    data_mode = Text("real, test or demo", "real")
    environment = Text("prod, staging or dev", "prod")
    status = Text("success or error", "success")
    served_from = Text("provider, or caller_cache for an answer of your own cache", "provider")
    counted = Truth("whether the plan counts such calls", True)  # noqa: FBT003 - an example
    left_out_by = Text("what of the call makes the plan leave it out", "data_mode", null=True)


class _SpanSerializer(serializers.Serializer[Any]):
    tenant = Text("whose usage it is", "acme")
    plan = Text("the plan on the last day", "pro", null=True)
    zone = Text("the clock by which days are meant", "Asia/Kolkata")
    first_day = Day("first day", "2026-10-01")
    end_day = Day("first day after", "2026-11-01")
    start = Instant("the instant at which the first day begins", "2026-09-30T18:30:00Z")
    end = Instant("the instant at which the last day ends", "2026-10-31T18:30:00Z")


class UsageSerializer(_SpanSerializer):
    """What a tenant used in some days. Units that calls report (web searches, …) stand in the
    charges, which count them."""

    counted = UsedSerializer(help_text="what the plan counts", read_only=True)
    not_counted = UsedSerializer(help_text="what it leaves out", read_only=True)
    by_standing = StandingSerializer(
        many=True, read_only=True, help_text="the same, apart by what plans go by"
    )


class SeriesRowSerializer(_UsedSerializer):
    """What was used on one day, of one model or endpoint if that was asked for. Days without usage
    have no row."""

    day = Day("the day, by the tenant's clock", "2026-10-03")
    model = Text("the requested model; null unless by=model", "gpt-4o-mini", null=True)
    endpoint_tag = Text(
        "the endpoint tag, empty for calls without; null unless by=endpoint", None, null=True
    )


class UsageView(PortalView):
    parameters = DayRangeParameters

    @described(
        "portal_usage",
        "Usage of some days",
        "Requests and tokens of at most 400 days of the tenant's own clock, by default of the"
        " running cycle (without a plan: of the current month), apart by what the plan counts.",
        UsageSerializer,
        parameters=DayRangeParameters,
    )
    def get(self, request: Request) -> Response:
        span = _span(tenant_of(request), self.asked(request))
        scope = span.customer.scope
        rows = [
            {
                **row._asdict(),
                **_used(row.used),
                "left_out_by": (reason := left_out_by(row, scope)),
                "counted": reason is None,
            }
            for row in usage_by_standing(span.customer.tenant, span.period)
        ]
        value = {
            **span.value(),
            "counted": _sum(row["used"] for row in rows if row["counted"]),
            "not_counted": _sum(row["used"] for row in rows if not row["counted"]),
            "by_standing": rows,
        }
        return answer(UsageSerializer, value)


class SeriesView(PortalView):
    parameters = SeriesParameters

    @described(
        "portal_series",
        "Usage by day",
        "Requests and tokens by day of the tenant's own clock, with a breakdown by requested model"
        " or endpoint tag, in pages.",
        page_of(SeriesRowSerializer),
        parameters=SeriesParameters,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        span = _span(tenant_of(request), asked)
        rows = usage_by_day(
            span.customer.tenant,
            span.edges,
            asked["by"],
            asked["limit"] + 1,
            only=span.counting if asked["usage"] == "counted" else None,
            after=_after(asked.get("cursor"), span),
        )
        page = paged(rows, asked["limit"], lambda row: [span.day(row.day), row.key])
        items = [
            {
                "day": span.day(row.day),
                "model": row.key if asked["by"] == "model" else None,
                "endpoint_tag": row.key if asked["by"] == "endpoint" else None,
                **_used(row.used),
            }
            for row in page.items
        ]
        return answer(page_of(SeriesRowSerializer), page._replace(items=items))


@dataclass(frozen=True, slots=True)
class _Span:
    """Days of a customer's clock."""

    customer: Customer
    first_day: date
    end_day: date

    @property
    def edges(self) -> list[datetime]:
        zone = zone_of(self.customer.zone)
        days = (self.end_day - self.first_day).days
        return [start_of_day(self.day(i), zone) for i in range(days + 1)]

    @property
    def period(self) -> Period:
        zone = zone_of(self.customer.zone)
        return Period(start_of_day(self.first_day, zone), start_of_day(self.end_day, zone))

    @property
    def counting(self) -> Counting:
        scope = self.customer.scope
        return Counting(scope.data_modes, scope.environments, scope.statuses, scope.served_from)

    def day(self, index: int) -> date:
        return self.first_day + timedelta(days=index)

    def value(self) -> dict[str, Any]:
        period = self.period
        return {
            "tenant": self.customer.tenant,
            "plan": self.customer.plan,
            "zone": self.customer.zone,
            "first_day": self.first_day,
            "end_day": self.end_day,
            "start": period.start,
            "end": period.end,
        }


def _span(tenant: str, asked: dict[str, Any]) -> _Span:
    """The days asked for; by default those of the running cycle, else of the current month."""
    if "from" in asked:
        last = asked["to"] - timedelta(days=1)
        return _Span(customer_on(tenant, last, now=now()), asked["from"], asked["to"])
    customer = customer_on(tenant, None, now=now())
    if customer.cycle is not None:
        return _Span(customer, customer.cycle.first_day, customer.cycle.end_day)
    month = Month(customer.day.year, customer.day.month)
    return _Span(customer, month.first_day(), month.next().first_day())


def _after(cursor: str | None, span: _Span) -> tuple[int, str] | None:
    position = position_of(cursor, tuple[date, str])
    if position is None:
        return None
    day, key = position
    if not span.first_day <= day < span.end_day or "\0" in key:
        raise ValidationError(
            {"cursor": ["this cursor is of other days; send it with the days of its page"]}
        )
    return (day - span.first_day).days, key


def _used(used: Used) -> dict[str, Any]:
    return {"requests": used.requests, "tokens": used.tokens, "classes": used.classes}


def _sum(used: Iterable[Used]) -> dict[str, Any]:
    requests, classes = 0, dict[str, int]()
    for one in used:
        requests += one.requests
        for name, tokens in one.classes.items():
            classes[name] = classes.get(name, 0) + tokens
    return _used(Used(requests, classes))
