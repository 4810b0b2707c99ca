"""`manage.py allocate`: what it prints, and what it says where nothing can be allocated."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from allocation.models import AllocationRun
from metering import people


def call(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("db", "usage")
class TestCommand:
    def test_it_prints_what_each_owner_bears(self) -> None:
        people.add("ana", ["finance"])
        out = call("allocate", "2026-10", "--as", "ana")
        assert AllocationRun.objects.get().author == "ana"
        assert "cc-a / acme" in out
        assert "6.00 USD" in out
        assert "9.005 USD, payable 9.00" in out

    def test_json_holds_every_line_as_decimal_strings(self) -> None:
        answer = json.loads(call("allocate", "2026-10", "--json"), parse_float=pytest.fail)
        assert answer == answer | {"period": "2026-10", "run": 1, "state": "draft"}
        assert answer["rule"]["name"] == "standard"
        assert answer["digest"] == AllocationRun.objects.get().outputs_digest
        assert sum(Decimal(x["amount"]) for x in answer["lines"]) == Decimal("9.00")
        assert [(t["cost_centre"], t["amount"], t["amount_minor"]) for t in answer["totals"]] == [
            ("cc-a", "6", 600),
            ("cc-b", "3", 300),
        ]
        assert json.loads(call("allocate", "2026-10", "--json")) == answer

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["2026-13"], "YYYY-MM"),
            (["2026-11"], "no bill covers 2026-11"),
            (["2026-10", "--rule", "ours"], "no rule 'ours'"),
            (["2026-10", "--as", "nobody"], "add_person nobody --role finance"),
        ],
    )
    def test_what_cannot_be_run_is_said(self, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            call("allocate", *arguments)
        assert not AllocationRun.objects.exists()
