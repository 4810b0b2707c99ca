"""OpenAI's cost pages: every digit and every page, or a message that names the place."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.bills.openai_costs import Item, read, read_item, recognises
from allocation.bills.reading import MAX_FAULTS, ParsedBill, Terms, UnreadableBill
from allocation.domain.bill_lines import BillLine
from metering.domain.money import plain

TERMS = Terms("openai")
DAY = 86_400
START = 1_790_812_800  # 2026-10-01


def result(
    value: str = '"1.50"', item: str = "gpt-5.4-2026-03-05, input", **said: str | float
) -> str:
    text = json.dumps({"object": "organization.costs.result", "line_item": item} | said)
    return text[:-1] + f', "amount": {{"value": {value}, "currency": "usd"}}}}'


def page(*results: str, day: int = 0, more: str = "false", end: int | None = None) -> str:
    start = START + day * DAY
    end = start + DAY if end is None else end
    token = "null" if more == "false" else '"page_2"'
    return (
        f'{{"object": "page", "data": [{{"object": "bucket", "start_time": {start}, '
        f'"end_time": {end}, "results": [{", ".join(results)}]}}], '
        f'"has_more": {more}, "next_page": {token}}}'
    )


def lines(text: str, terms: Terms = TERMS) -> tuple[BillLine, ...]:
    parsed = read(text.encode(), terms)
    assert isinstance(parsed, ParsedBill), parsed
    return parsed.lines


def refusal(text: str, terms: Terms = TERMS) -> str:
    refused = read(text.encode(), terms)
    assert isinstance(refused, UnreadableBill), refused
    return str(refused)


def test_the_documented_example(shared_data: Path) -> None:
    document = json.loads(
        (shared_data / "bills-openai" / "usage-and-costs-examples.json").read_text()
    )
    example = document["endpoints"]["/organization/costs"]["example_response"]
    raw = json.dumps(example).encode()
    assert recognises(raw)
    parsed = read(raw, TERMS)
    assert isinstance(parsed, ParsedBill), parsed
    (line,) = parsed.lines
    assert (line.amount, line.currency, line.day) == (Decimal("0.06"), "USD", date(2024, 11, 1))
    assert (line.kind, line.model, line.token_class, line.quantity) == ("usage", "", "", None)
    assert parsed.days == {date(2024, 11, 1)}


def test_the_documented_usage_pages_are_no_bill(shared_data: Path) -> None:
    document = json.loads(
        (shared_data / "bills-openai" / "usage-and-costs-examples.json").read_text()
    )
    for path, endpoint in document["endpoints"].items():
        if path.startswith("/organization/usage/"):
            assert "not costs" in refusal(json.dumps(endpoint["example_response"]))


def test_a_line_in_full() -> None:
    (line,) = lines(
        page(result('"0.00321"', project_id="proj_abc", quantity=1284.0, quantity_unit="tokens"))
    )
    assert line.amount == Decimal("0.00321")
    assert line.quantity == 1284
    assert (line.project, line.day, line.tier) == ("proj_abc", date(2026, 10, 1), "")
    assert (line.model, line.token_class) == ("gpt-5.4-2026-03-05", "input")
    assert line.description == "gpt-5.4-2026-03-05, input"
    assert (line.bill_id, line.line_no) == (0, 1)


@given(st.decimals("-1000000", "1000000", places=20), st.sampled_from(["{}", '"{}"']))
def test_amounts_keep_every_digit_as_numbers_and_as_strings(amount: Decimal, form: str) -> None:
    (line,) = lines(page(result(form.format(plain(amount)))))
    assert line.amount == amount
    assert line.kind == ("credit" if amount < 0 else "usage")


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("gpt-5.4-2026-03-05, input", Item("usage", "gpt-5.4-2026-03-05", "input", "")),
        ("gpt-5.4-2026-03-05, cached input", Item("usage", "gpt-5.4-2026-03-05", "cache_read", "")),
        ("gpt-5.4-2026-03-05, output", Item("usage", "gpt-5.4-2026-03-05", "output", "")),
        ("gpt-realtime-2.1, audio input", Item("usage", "gpt-realtime-2.1", "input_audio", "")),
        (
            "gpt-realtime-2.1, cached audio input",
            Item("usage", "gpt-realtime-2.1", "cache_audio_read", ""),
        ),
        ("gpt-image-2, image output", Item("usage", "gpt-image-2", "output_image", "")),
        (
            "o3-2025-04-16, batch, cached input",
            Item("usage", "o3-2025-04-16", "cache_read", "batch"),
        ),
        ("o3-2025-04-16 (flex), output", Item("usage", "o3-2025-04-16", "output", "flex")),
        ("o3-2025-04-16, priority input", Item("usage", "o3-2025-04-16", "input", "priority")),
        ("web search tool calls", Item("fee", "", "web_search", "")),
        ("code interpreter sessions", Item("fee", "", "code_interpreter", "")),
        ("file search storage", Item("fee", "", "", "")),
        ("input_tokens", Item("usage", "", "input", "")),
        ("Text tokens", Item("usage", "", "", "")),
        ("GPT-4 Turbo", Item("fee", "", "", "")),
        ("o3-2025-04-16, fine-tuning training", Item("fee", "", "", "")),
    ],
)
def test_what_a_line_item_says(text: str, item: Item) -> None:
    assert read_item(text, "") == item


def test_an_unknown_item_that_counts_tokens_is_usage_nobody_attributes() -> None:
    assert read_item("GPT-4 Turbo", "tokens") == Item("usage", "", "", "")


def test_thousands_of_tokens_are_tokens() -> None:
    (line,) = lines(page(result(quantity=1.5, quantity_unit="1000_tokens")))
    assert line.quantity == 1500
    assert line.quantity_unit == "tokens"


def test_a_result_without_amount_charges_nothing() -> None:
    (line,) = lines(page('{"amount": null, "line_item": "o3, input"}', result("null"), result()))
    assert line.line_no == 1


def test_empty_days_are_spoken_for() -> None:
    parsed = read(f"[{page(result(), more='true')}, {page(day=1)}]".encode(), TERMS)
    assert isinstance(parsed, ParsedBill), parsed
    assert parsed.days == {date(2026, 10, 1), date(2026, 10, 2)}


@pytest.mark.parametrize("form", ["[{}, {}]", "{}\n{}\n", "\ufeff{}\n\n{}"])
def test_pages_may_be_an_array_or_one_a_line(form: str) -> None:
    found = lines(form.format(page(result(), more="true"), page(result("2.5"), day=1)))
    assert [(line.line_no, line.amount, line.day.day) for line in found] == [
        (1, Decimal("1.50"), 1),
        (2, Decimal("2.5"), 2),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (page(result(), more="true"), "page 1: has_more is true"),
        (f"[{page(result(), more='true')}, {page(result())}]", "already in page 1, bucket 1"),
        (f"[{page(result())}, {page(result(), day=1)}]", "page 1: says that it is the last"),
        (f"[{page(result(), more='true')}, {page(day=2)}]", "page 2: does not begin where"),
        (page(result(), end=START + 3600), "page 1, bucket 1: .* not one whole UTC day"),
        (page(result(), day=10**9), "no time in Unix seconds"),
        (page(result(), result('"1,5"')), "page 1, bucket 1, result 2: .*decimal comma"),
        (page(result('"NaN"')), "'NaN' is no number"),
        (page(result('"1_0"')), "no number"),
        (page(result("1e400")), "out of all proportion"),
        (page(result("true")), "'true' is no number"),
        (page(result(quantity=-1)), "quantity -1 is negative"),
        (page(result(object="organization.usage.x")), "counts|object is"),
        (page(result()).replace('"usd"', '"Usd"'), "no ISO 4217"),
        (page(result()).replace('"usd"', '"dollars"'), "no ISO 4217"),
        (page(result()).replace('"usd"', "null"), "has no currency"),
        (page(result()).replace(f'"start_time": {START}', '"start_time": "x"'), "bucket 1: .*int"),
        ('{"data": [], "has_more": 3}', "bool"),
        (page(result(), more="true") + "\n" + page(result(), day=1)[:-9], "line 2: "),
        (page(result())[:-9], "no JSON"),
        ("{\n" + page(result())[1:-9], "no JSON"),
        ("", "empty"),
        ("[]", "no page"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str) -> None:
    assert re.search(message, refusal(text)), refusal(text)


def test_another_currency_than_the_import_says() -> None:
    assert "is in USD, but the import says EUR" in refusal(
        page(result()), Terms("openai", currency="EUR")
    )


def test_an_anthropic_cost_report_is_not_read_as_dollars() -> None:
    report = {
        "data": [
            {
                "starting_at": "2026-11-19T00:00:00Z",
                "ending_at": "2026-11-20T00:00:00Z",
                "results": [{"currency": "USD", "amount": "123.45", "workspace_id": None}],
            }
        ],
        "has_more": False,
        "next_page": None,
    }
    message = refusal(json.dumps(report))
    assert "Anthropic cost report" in message
    assert "cents" in message
    assert refusal(json.dumps([report])) == message


def test_a_file_that_is_wrong_throughout_is_described_briefly() -> None:
    message = refusal(page(*[result('"x"')] * 100))
    assert len(message.splitlines()) == MAX_FAULTS + 1
    assert message.endswith("and 80 more")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert isinstance(read(raw, TERMS), ParsedBill | UnreadableBill)


@given(st.integers(0, 2_000))
def test_a_cut_off_page_is_never_a_smaller_bill(length: int) -> None:
    whole = page(result(), result("2"))
    if length < len(whole):
        assert isinstance(read(whole[:length].encode(), TERMS), UnreadableBill)
