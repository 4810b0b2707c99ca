"""Cost centres, to read."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.api.finance_access import FinanceView
from metering.api.paging import PageParameters, page_of, page_of_rows
from metering.api.reading import answer, described
from metering.api.values import Text
from metering.models import CostCentre


class CostCentreSerializer(serializers.Serializer[Any]):
    """An owner of cost inside the company."""

    code = Text("by which everything else names it", "cc-growth")
    name = Text("its name", "Growth")
    responsible = Text("the person who answers for it", "head of growth")
    team = Text("its team; empty: none named", "growth")
    mode = Text("showback: sees its cost; chargeback: owes it", "chargeback")


class CostCentresView(FinanceView):
    permission = "metering.view_costcentre"
    parameters = PageParameters

    @described(
        "finance_cost_centres",
        "Cost centres",
        "By code, in pages. `unallocated` is among them.",
        page_of(CostCentreSerializer),
        parameters=PageParameters,
    )
    def get(self, request: Request) -> Response:
        page = page_of_rows(CostCentre.objects.all(), self.asked(request), by="code", kind=str)
        return answer(page_of(CostCentreSerializer), page)
