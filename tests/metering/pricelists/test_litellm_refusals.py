"""What cannot be taken of LiteLLM's price map is refused by name, and spoils nothing else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.pricelists.litellm import parse_litellm
from metering.pricelists.parsed import UnreadablePriceList
from tests.metering.pricelists.litellm_prices import AT, PLAIN, off_peak, parsed, rated


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"input_cost_per_token": "1e-6"}, "is no number"),
        ({"input_cost_per_token": -1e-6}, "below 0"),
        ({"input_cost_per_furlong": 1e-6}, "unit is not known"),
        ({"input_cost_per_second": 1e-6}, "unit is not known"),
        ({"output_cost_per_token_above_200k_tokens_weekly": 1e-6}, "unit is not known"),
        ({"cache_read_input_token_cost_above_200k_tokens": 1e-7}, "none below it"),
        ({"tiered_pricing": [{"range": [0, 10], "input_cost_per_token": 1}]}, "beside other"),
        ({"provider_specific_entry": {"mars": 1.1}}, "mars is not known"),
        ({"search_context_cost_per_query": {"a": 0.1, "b": 0.2}}, "sizes ['a', 'b'] are not known"),
        (
            {"regional_endpoint_uplift_multiplier": 1.1, "provider_specific_entry": {"us": 1.1}},
            "for a region and for any",
        ),
        ({"mode": "image_generation", "input_cost_per_image": 0.1}, "goes in or comes out"),
        ({"mode": "image_generation", "input_cost_per_image": "0.1"}, "unit is not known"),
        (
            {"output_cost_per_image": 0.09, "output_cost_per_image_token": 1.6e-06},
            "whether pictures or their tokens are paid",
        ),
        (
            {"provider_specific_entry": {"minimax_free_input_images": 5}},
            "5 pictures of what price",
        ),
        ({"output_cost_per_second_720p": 0.1}, "unit is not known"),
        ({"off_peak_pricing": {"input_cost_per_token": 1e-7}}, "without windows"),
        (
            {"off_peak_pricing": {"input_cost_per_token": 1e-7, "windows": [{"hours_utc": "9-5"}]}},
            "22:00-06:00",
        ),
        (off_peak(windows=[{"hours_utc": "01:00-02:00", "weekdays": [8]}]), "1 (Monday) to 7"),
        (off_peak(windows=[{"hours_utc": "01:00-02:00", "weekdays": []}]), "a list like"),
        (
            off_peak(
                weekday_timezone="Europe/Berlin",
                windows=[{"hours_utc": "01:00-02:00", "weekdays": [1]}],
            ),
            "in summer than in winter",
        ),
        (
            off_peak(
                weekday_timezone="Nowhere/Atoll",
                windows=[{"hours_utc": "01:00-02:00", "weekdays": [1]}],
            ),
            "is no time zone",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_model(entry: dict[str, Any], why: str) -> None:
    found = parsed(m={**PLAIN, **entry}, other=PLAIN)
    assert [row.model_id for row in found.prices] == ["other"]
    assert any(each.model_id == "m" and why in each.reason for each in found.refused)
    assert rated(found).reason == "unknown_model"


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "1e-6", "\x00", "22:00-06:00", "UTC", "day"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["range", "windows", "fast", "us", "count"]), inner)
    ),
    max_leaves=4,
)
KEYS = (
    *("input_cost_per_token", "output_cost_per_token_batches", "tiered_pricing", "mode"),
    *("off_peak_pricing", "search_context_cost_per_query", "search_free_requests"),
    *("provider_specific_entry", "regional_endpoint_uplift_multiplier", "input_cost_per_image"),
    *("input_cost_per_pixel", "output_cost_per_image", "output_cost_per_image_token"),
    *("web_search_billing_unit", "litellm_provider", "input_cost_per_token_above_9k_tokens"),
)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, min_size=1))
def test_a_model_that_is_written_anyhow_spoils_no_other(entry: dict[str, Any]) -> None:
    found = parsed(**{"acme/odd": {**PLAIN, **entry}, "acme/m": PLAIN})
    assert rated(found, model="acme/m").cost == Decimal("0.0014")
    odd = {each.model_id for each in found.refused if each.whole}
    assert odd <= {"acme/odd"}
    assert odd or any(row.model_id == "acme/odd" for row in found.prices)


def test_names_that_nobody_could_read_or_store_are_refused() -> None:
    for name in ("m\x00", "\ud800", " ", "m" * 501):
        [refused] = parsed(**{name: PLAIN, "acme/m": PLAIN}).refused
        assert (refused.reason, refused.whole) == ("its name is none", True)
        assert refused.model_id.isascii()
    with pytest.raises(UnreadablePriceList, match="out of all range"):
        parse_litellm(
            '{"m": {"litellm_provider": "a", "input_cost_per_token": 1e99999999999999999999}}',
            source="LiteLLM",
            effective_at=AT,
        )


@given(st.integers(0, 400))
def test_a_file_that_was_cut_off_is_none(end: int) -> None:
    text = json.dumps({"m": PLAIN, "n": PLAIN})
    if end >= len(text):
        return
    with pytest.raises(UnreadablePriceList):
        parse_litellm(text[:end], source="LiteLLM", effective_at=AT)
