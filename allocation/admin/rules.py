"""Rules by version, and drivers from outside usage."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from allocation.domain.rules import (
    ActivityBased,
    Direct,
    Method,
    Pool,
    Selection,
    ToDriver,
    ToOwner,
    Weighted,
    rule_content,
)
from allocation.models import DriverValue, Rule, RuleVersion
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import day, digest, figure, instant, link, number
from metering.admin.tables import Section, text


@admin.register(Rule)
class RuleAdmin(ReadOnlyAdmin):
    list_display = ("name",)
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name",)

    def sections(self, request: HttpRequest, row: Rule) -> Sequence[Section]:  # noqa: ARG002
        return [
            Section(
                "Versions",
                text("version", "valid", "by", "entered"),
                [
                    (
                        link("allocation_ruleversion", version.pk, version.number),
                        validity(version),
                        version.author,
                        instant(version.created_at),
                    )
                    for version in row.versions.order_by("-number")
                ],
            )
        ]


def validity(row: RuleVersion | DriverValue) -> str:
    """From which day until before which."""
    if row.valid_to is None:
        return f"since {day(row.valid_from)}"
    if row.valid_to == row.valid_from:
        return "never: replaced from its first day on"
    return f"{day(row.valid_from)} until before {day(row.valid_to)}"


@admin.register(RuleVersion)
class RuleVersionAdmin(ReadOnlyAdmin):
    list_display = ("rule", "number", "valid", "author", "entered", "content_digest")
    list_filter = ("rule",)
    ordering = ("rule", "-number")
    fields = (("rule", "number"), ("valid", "author"), ("entered", "content_digest"), "said")
    readonly_fields = ("valid", "entered", "content_digest", "said")

    def sections(self, request: HttpRequest, row: RuleVersion) -> Sequence[Section]:  # noqa: ARG002
        return [
            Section(
                "Pools, asked in this order",
                text("pool", "takes", "divided", "where the driver is zero"),
                [
                    (pool.name, _taken(pool.select), _divided(pool.divide), _otherwise(pool))
                    for pool in rule_content(row.content).pools
                ],
                note="What no pool takes goes to the cost centre unallocated.",
            )
        ]

    @shown("valid", order="valid_from")
    def valid(self, row: RuleVersion) -> str:
        return validity(row)

    @shown("entered", order="created_at")
    def entered(self, row: RuleVersion) -> SafeString:
        return instant(row.created_at)

    @shown("digest")
    def content_digest(self, row: RuleVersion) -> SafeString:
        return digest(row.digest)

    @shown("description")
    def said(self, row: RuleVersion) -> str:
        return rule_content(row.content).description


def _taken(select: Selection) -> str:
    parts = [
        f"{title} {', '.join(chosen)}"
        for title, chosen in (
            ("", select.kinds),
            ("of", select.providers),
            ("in project", select.projects),
            ("model", select.models),
            ("class", select.token_classes),
            ("tier", select.tiers),
            ("described", select.descriptions),
        )
        if chosen
    ]
    return " ".join(parts).strip() or "everything"


def _divided(method: Method) -> str:
    match method:
        case Direct():
            return "direct: by what each owner used of the billed cell"
        case Weighted():
            weights = ", ".join(f"{key} x {number(value)}" for key, value in method.weights.items())
            return f"by {_driver(method.driver)}, weighted by {method.by}: {weights}"
        case ActivityBased():
            return f"by {_driver(method.driver)}"


def _driver(driver: str) -> str:
    return driver.removeprefix("driver:").replace("_", " ")


def _otherwise(pool: Pool) -> str:
    match pool.fallback:
        case ToDriver() as fallback:
            return f"by {_driver(fallback.driver)}"
        case ToOwner() as owner:
            return f"to {owner.cost_centre}" + (f" / {owner.tenant}" if owner.tenant else "")


@admin.register(DriverValue)
class DriverValueAdmin(ReadOnlyAdmin):
    list_display = ("driver", "cost_centre", "tenant", "value_figure", "valid", "author")
    list_filter = ("driver", "cost_centre")
    search_fields = ("driver", "cost_centre", "tenant")
    ordering = ("driver", "cost_centre", "tenant", "valid_from")
    fields = ("driver", ("cost_centre", "tenant"), ("value_figure", "valid"), "author")
    readonly_fields = ("value_figure", "valid")

    @shown("value", order="value")
    def value_figure(self, row: DriverValue) -> SafeString:
        return figure(row.value)

    @shown("valid", order="valid_from")
    def valid(self, row: DriverValue) -> str:
        return validity(row)
