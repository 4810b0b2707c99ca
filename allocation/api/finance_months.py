"""Where a month stands: its closes, and whether it could be closed now; and the rules, to read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.close_readiness import readiness
from allocation.closed_months import close_of
from allocation.models import PeriodClose, RuleVersion
from allocation.period_close import readiness_value
from metering.api.finance_access import FinanceView
from metering.api.paging import PageParameters, page_of, page_of_rows
from metering.api.reading import MonthField, answer, described, month_in_path
from metering.api.values import Anything, Day, Instant, Text, Truth, Whole

PERIOD: Final = {"period": "a UTC month, like 2026-10"}


class CloseParameters(PageParameters):
    """Which closes."""

    period = MonthField(required=False, help_text="of this UTC month, like 2026-10")


class FindingSerializer(serializers.Serializer[Any]):
    """Something that stands in the way of a close."""

    missing = Text("what", "no bill of openai for 2026-10")
    remedy = Text("how to mend it", "import it: manage.py import_bill FILE --provider openai")


class AnswerSerializer(serializers.Serializer[Any]):
    """One of the four questions before a close."""

    question = Text("complete, allocated, accurate or cut_off", "complete")
    text = Text("in words", "Is every bill in?")
    yes = Truth("whether nothing stands in the way", False)  # noqa: FBT003 - an example
    facts = serializers.ListField(child=Text(), read_only=True, help_text="what it rests on")
    findings = FindingSerializer(many=True, read_only=True)


class MonthSerializer(serializers.Serializer[Any]):
    """Where a month stands."""

    period = Text("the UTC month", "2026-10")
    closed = Truth("whether a close holds it shut", False)  # noqa: FBT003 - an example
    ready = Truth("whether it could be closed as things are", False)  # noqa: FBT003 - an example
    answers = AnswerSerializer(many=True, read_only=True)


class CloseSerializer(serializers.Serializer[Any]):
    """A close of a month, with its signatures, and its reopening if there was one."""

    id = Whole("the close", 2)
    period = Text("the UTC month", "2026-10")
    sequence = Whole("counts the month's closes, from 1", 1)
    run = Whole("the number of the run it was closed on", 1)
    prepared_by = Text("who made the run; empty: the program", "analyst")
    approved_by = Text("who agreed with it", "controller")
    closed_by = Text("who closed", "controller")
    closed_at = Instant("when", "2026-11-03T09:00:00Z")
    run_digest = Text("SHA-256 of the run's results", "c0de…")
    inputs_digest = Text("SHA-256 of what it was made from", "7d01…")
    usage_digest = Text("SHA-256 of the usage", "88fa…")
    totals = Anything(
        "payable bills by currency, in minor units", [{"currency": "USD", "amount_minor": 1610}]
    )
    reopened_by = Text("who undid it; null: it holds", None, null=True)
    reopened_at = Instant("when", None, null=True)
    reopening_reason = Text("why", None, null=True)


class RuleVersionSerializer(serializers.Serializer[Any]):
    """What an allocation rule says from one month until before another."""

    id = Whole("the version's own number", 1)
    rule = Text("the rule's name", "standard")
    version = Whole("its version", 1)
    valid_from = Day("first day of the first month", "2026-01-01")
    valid_to = Day("first day of the first month it no longer holds for", None, null=True)
    author = Text("who took it in", "apportion")
    created_at = Instant("when", "2026-01-02T08:00:00Z")
    digest = Text("SHA-256 over its content", "52bb…")
    content = Anything("its pools, as in a rule file", {"name": "standard", "pools": []})


class MonthView(FinanceView):
    permission = "allocation.view_periodclose"

    @described(
        "finance_month",
        "Where a month stands",
        "Whether it is closed, and the four questions before a close, answered as of now. Asking"
        " changes nothing.",
        MonthSerializer,
        path=PERIOD,
    )
    def get(self, request: Request, period: str) -> Response:
        self.asked(request)
        month = month_in_path(period)
        found = readiness_value(readiness(month, now=datetime.now(UTC)))
        return answer(MonthSerializer, {**found, "closed": close_of(month) is not None})


class ClosesView(FinanceView):
    permission = "allocation.view_periodclose"
    parameters = CloseParameters

    @described(
        "finance_closes",
        "Closes",
        "Reopened ones too, the latest first, in pages.",
        page_of(CloseSerializer),
        parameters=CloseParameters,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        rows = PeriodClose.objects.select_related("run", "reopening")
        if "period" in asked:
            rows = rows.filter(month=asked["period"])
        page = page_of_rows(rows, asked, downwards=True)
        items = [_close(row) for row in page.items]
        return answer(page_of(CloseSerializer), page._replace(items=items))


class RulesView(FinanceView):
    permission = "allocation.view_ruleversion"
    parameters = PageParameters

    @described(
        "finance_rules",
        "Allocation rules by version",
        "In the order they were taken in, in pages.",
        page_of(RuleVersionSerializer),
        parameters=PageParameters,
    )
    def get(self, request: Request) -> Response:
        page = page_of_rows(RuleVersion.objects.all(), self.asked(request))
        items = [_rule(row) for row in page.items]
        return answer(page_of(RuleVersionSerializer), page._replace(items=items))


def _close(row: PeriodClose) -> dict[str, Any]:
    reopening = row.reopening if hasattr(row, "reopening") else None
    return {
        "id": row.pk,
        "period": row.month,
        "sequence": row.sequence,
        "run": row.run.number,
        "prepared_by": row.prepared_by,
        "approved_by": row.approved_by,
        "closed_by": row.closed_by,
        "closed_at": row.closed_at,
        "run_digest": row.run_digest,
        "inputs_digest": row.inputs_digest,
        "usage_digest": row.usage_digest,
        "totals": row.totals,
        "reopened_by": reopening and reopening.reopened_by,
        "reopened_at": reopening and reopening.reopened_at,
        "reopening_reason": reopening and reopening.reason,
    }


def _rule(row: RuleVersion) -> dict[str, Any]:
    return {
        "id": row.pk,
        "rule": row.rule_id,
        "version": row.number,
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
        "author": row.author,
        "created_at": row.created_at,
        "digest": row.digest,
        "content": row.content,
    }
