"""Budgets over REST: those there are, where each stands, and new ones.

Creating one is what `import_budgets` does with a row: a budget that begins while another of its
owner holds ends that one, and one that is there already is left. It is a plan and no act on the
books, so a finance key may do it; who it was stands in the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any, ClassVar, Final

import msgspec
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ParseError, PermissionDenied, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from config.roles import IMPORT_BUDGETS, roles_with
from metering import budget_files
from metering.api.bodies import BodyRefused, read_body
from metering.api.finance_access import FinanceView
from metering.api.paging import Page, PageParameters, page_of, page_of_rows
from metering.api.problems import CONTENT_TYPE
from metering.api.reading import MonthField, ProblemSerializer, answer, described
from metering.api.values import Anything, Exact, Text, Truth, Whole
from metering.api_keys import KeyFacts
from metering.budgets import standing, value_of
from metering.domain.budgets import Standing
from metering.domain.periods import Month
from metering.formats.malformed import UNDECODABLE
from metering.models import BudgetRow

_INSTANT: Final = timedelta(microseconds=1)
MAX_BODY: Final = 100_000
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_OWNER: Final = "`everything`, `source`, `tenant` or `cost_centre`"


class BudgetSerializer(serializers.Serializer[Any]):
    """What an owner means to spend in each month from one on."""

    id = Whole("its number", 4)
    owner = Text(f"whose it is: {_OWNER}", "cost_centre")
    key = Text("which one; empty for everything", "cc-growth")
    book = Text("`cost`: what calls should have cost; `charge`: what the tenant owes", "cost")
    amount = Exact("a month", "2500")
    currency = Text("ISO 4217", "USD")
    warn_share = Exact("of the amount, from which on it is warned", "0.8")
    month = Text("the first month that it holds for, UTC", "2026-10")
    until = Text(
        "the last month; null: until further notice; empty: it was taken back", "2027-03", null=True
    )
    reason = Text("why", "plan of 2027")


class BudgetStandingSerializer(BudgetSerializer):
    """A budget, and what was spent of it in the month that was asked for."""

    asked_month = Text("the month of the figures below, UTC", "2026-11")
    holds = Truth("whether it holds in that month", example=True)
    spent = Exact("the month's spend as far as it is known, in the budget's currency", "310.25")
    left = Exact("what is left at most; below zero: exceeded", "2189.75")
    used = Exact("the known spend as a share of the amount", "0.1241")
    is_warning = Truth("whether the warning's share is reached", example=False)
    is_exceeded = Truth("whether more was spent than is meant to be", example=False)
    unpriced_calls = Whole("calls that have no price yet, not in the spend", 0)
    unpriced_tokens = Whole("and their tokens", 0)
    elsewhere = Anything("spend in other currencies, by currency, not in the spend", {"EUR": "1"})
    unknown = Text("why nothing can be known at all; empty: it can", "")


class AskedMonth(serializers.Serializer[Any]):
    """Which month's spend is told."""

    month = MonthField(required=False, help_text="like 2026-10; the month that it is, if left out")


class NewBudget(serializers.Serializer[Any]):
    """A budget to be. The values are those of `import_budgets`' columns."""

    owner = serializers.CharField(help_text=_OWNER)
    key = serializers.CharField(required=False, default="", help_text="which one", allow_blank=True)
    month = serializers.CharField(help_text="the first month that it holds for, like 2026-10")
    amount = serializers.CharField(help_text="a month, as a decimal string")
    currency = serializers.CharField(help_text="ISO 4217")
    until = serializers.CharField(required=False, help_text="the last month", allow_blank=True)
    warn_share = serializers.CharField(required=False, help_text="0.8 if left out")
    book = serializers.CharField(required=False, help_text="`cost` if left out, or `charge`")
    reason = serializers.CharField(required=False, help_text="why", allow_blank=True)


class OneObject(BaseParser):
    """A small JSON body, read exactly: numbers as they are written."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:  # noqa: ARG002 - the framework's
        try:
            return _decode(read_body(stream, limit=MAX_BODY))
        except BodyRefused as refused:
            raise ParseError(refused.detail) from refused
        except (*UNDECODABLE, ArithmeticError) as error:
            raise ParseError("the body is no JSON that can be read; send one object") from error


class BudgetsView(FinanceView):
    permission = "metering.view_budgetrow"
    parameters = PageParameters
    http_method_names: ClassVar[list[str]] = ["get", "head", "post"]  # type: ignore[misc]
    parser_classes: ClassVar[list[Any]] = [OneObject]  # type: ignore[misc]

    @described(
        "finance_budgets",
        "Budgets",
        "Of all owners and times, the newest first, in pages.",
        page_of(BudgetSerializer),
        parameters=PageParameters,
    )
    def get(self, request: Request) -> Response:
        page = page_of_rows(BudgetRow.objects.all(), self.asked(request), downwards=True)
        shown = Page([_fields(row) for row in page.items], page.next)
        return answer(page_of(BudgetSerializer), shown)

    @extend_schema(
        operation_id="finance_create_budget",
        tags=["finance"],
        summary="Create a budget",
        description="It ends the one of its owner that holds when it begins. One that is there"
        " already is answered as it is, with 200.",
        request=NewBudget,
        responses={
            201: BudgetSerializer,
            200: BudgetSerializer,
            **{
                (status, CONTENT_TYPE): ProblemSerializer for status in ("400", "401", "403", "415")
            },
        },
    )
    def post(self, request: Request) -> Response:
        _refuse_strangers(request)
        told = _told(request.data)
        try:
            with transaction.atomic():
                added, row = budget_files.add(told, place="body")
        except budget_files.BudgetFileError as error:
            raise ValidationError({"budget": [str(error)]}) from error
        shown = answer(BudgetSerializer, _fields(row))
        shown.status_code = HTTPStatus.CREATED if added else HTTPStatus.OK
        return shown


class BudgetView(FinanceView):
    permission = "metering.view_budgetrow"
    parameters = AskedMonth

    @described(
        "finance_budget",
        "A budget",
        "What it says, and what of it was spent in a month.",
        BudgetStandingSerializer,
        parameters=AskedMonth,
        path={"budget": "its number"},
    )
    def get(self, request: Request, budget: int) -> Response:
        asked = self.asked(request).get("month")
        row = BudgetRow.objects.filter(pk=budget).first()
        if row is None:
            raise NotFound(f"there is no budget {budget}; the list has those there are")
        now = datetime.now(UTC)
        month = Month.of(now) if asked is None else Month.parse(asked)
        at = now if month == Month.of(now) else month.period.end - _INSTANT
        found = standing(value_of(row), at)
        return answer(BudgetStandingSerializer, {**_fields(row), **_standing(row, month, found)})


def _refuse_strangers(request: Request) -> None:
    """A person needs the right to add budgets, not only to see them."""
    if not isinstance(request.auth, KeyFacts) and not request.user.has_perm(IMPORT_BUDGETS):
        raise PermissionDenied(
            f"{request.user.get_username()} lacks the right {IMPORT_BUDGETS}, which"
            f" {' or '.join(roles_with(IMPORT_BUDGETS)) or 'only a superuser'} has"
        )


def _told(body: object) -> dict[str, str]:
    """The body as a file's row. Raises `ValidationError` naming each field that is wrong."""
    if not isinstance(body, Mapping):
        raise ValidationError({"budget": ["send one JSON object"]})
    known = NewBudget().fields
    strange = [str(name) for name in body if name not in known]
    if strange:
        there = ", ".join(known)
        raise ValidationError({name: [f"no such field; there are {there}"] for name in strange})
    read = NewBudget(data=body)
    read.is_valid(raise_exception=True)
    return {name: str(value).strip() for name, value in read.validated_data.items()}


def _fields(row: BudgetRow) -> dict[str, Any]:
    said = value_of(row)
    end = row.valid_to
    until = None if end is None else str(Month(end.year, end.month).previous())
    if end == row.valid_from:
        until = ""
    return {
        "id": row.pk,
        "owner": said.scope,
        "key": said.key,
        "book": said.book,
        "amount": said.amount,
        "currency": said.currency,
        "warn_share": said.warn_share,
        "month": f"{row.valid_from:%Y-%m}",
        "until": until,
        "reason": row.reason,
    }


def _standing(row: BudgetRow, month: Month, found: Standing) -> dict[str, Any]:
    first = month.first_day()
    spending = found.spending
    return {
        "asked_month": str(month),
        "holds": row.valid_from <= first and (row.valid_to is None or first < row.valid_to),
        "spent": spending.known,
        "left": found.left,
        "used": found.used,
        "is_warning": found.is_warning,
        "is_exceeded": found.is_exceeded,
        "unpriced_calls": spending.unpriced_calls,
        "unpriced_tokens": spending.unpriced_tokens,
        "elsewhere": {name: str(amount) for name, amount in spending.elsewhere.items()},
        "unknown": spending.unknown,
    }
