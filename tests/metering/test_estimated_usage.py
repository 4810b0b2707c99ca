"""Usage that nobody reported: from a stream that was cut off into the books, marked all the way."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from metering.admin.event_pages import sections_of
from metering.domain.cells import Cell
from metering.domain.period_costs import EstimatedUse
from metering.domain.periods import Month
from metering.domain.usage import UsageEvent
from metering.event_search import find_event
from metering.event_story import event_story
from metering.ingestion import ingest
from metering.providers.streams import STREAM_READERS, usage_of_stream
from metering.readings import estimated_cells
from metering.usage_export import usage_lines
from metering.verification.event_verification import check_month
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.of(NOON)


def cut_off() -> UsageEvent:
    """A chat whose stream broke off after two words: 8 tokens asked, 2 answered."""
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("Hello", " there")
    ]
    request = {"messages": [{"role": "user", "content": "Hello"}]}
    answer = STREAM_READERS["openai_chat"](chunks)
    found = usage_of_stream("openai_chat", answer, model="gpt-4o-mini", request=request)
    assert found.quality == "estimated"
    return call(
        "cut-off",
        input_tokens=found.counts.input_tokens,
        cached_input_tokens=None,
        output_tokens=found.counts.output_tokens,
        usage_quality=found.quality,
    )


@pytest.mark.django_db
def test_an_estimate_is_priced_and_marked_wherever_it_is_shown() -> None:
    outcomes = ingest([cut_off(), call("reported")], now=NOW)
    assert [outcome.outcome for outcome in outcomes] == ["accepted", "accepted"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pricing, cost FROM usage_event WHERE usage_quality = 'estimated'")
        assert cursor.fetchall() == [("priced", Decimal("0.0000024"))]

    said = StringIO()
    call_command("explain_cost", "cut-off", stdout=said)
    assert "usage estimated by a tokenizer, since nobody reported it" in said.getvalue()
    value = StringIO()
    call_command("explain_cost", "cut-off", "--json", stdout=value)
    assert json.loads(value.getvalue())["usage_quality"] == "estimated"

    story = event_story(find_event("cut-off"))
    assert story is not None
    [cost] = [section for section in sections_of(story) if section.title == "Cost"]
    assert cost.note == "The usage is estimated by a tokenizer, since nobody reported it."

    exported = [json.loads(line) for line in usage_lines(OCTOBER.period)]
    rows = {row["externalRequestId"]: row for row in exported}
    assert [rows[name]["usageQuality"] for name in ("cut-off", "reported")] == [
        "estimated",
        "reported",
    ]


@pytest.mark.django_db
def test_the_cells_tell_how_much_of_them_is_estimated() -> None:
    ingest([cut_off(), call("reported")], now=NOW)
    cell = Cell("openai", "", NOON.date(), "gpt-4o-mini", "input", "standard")
    assert estimated_cells(OCTOBER.period) == {
        cell: EstimatedUse(Decimal(8), Decimal("0.0000012")),
        cell._replace(token_class="output"): EstimatedUse(Decimal(2), Decimal("0.0000012")),
    }
    assert list(check_month(OCTOBER)) == []
