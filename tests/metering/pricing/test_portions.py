"""Portions of a month: how many there are, and what a sample of one is."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import pytest

from metering.domain.periods import Month
from metering.events import first_part, key_ranges
from metering.ingestion import ingest
from metering.pricing.portions import WORTH_SAMPLING, Portion, portions
from tests.metering.domain import rated_calls
from tests.metering.domain.rated_calls import NOON


@pytest.mark.parametrize("number", [1, 2, 31, 4096, 65_536])
def test_a_part_of_keys_is_their_first(number: int) -> None:
    for keys in (key_ranges(number)[0], key_ranges(number)[-1]):
        part = first_part(keys, 16)
        assert part.first == keys.first
        assert part.last <= keys.last
        width, whole = (
            int(each.last[:4], 16) + 1 - int(each.first[:4], 16) for each in (part, keys)
        )
        assert width == max(1, whole // 16)


def test_few_events_are_their_own_sample() -> None:
    [keys] = key_ranges(1)
    few, many = (Portion(date(2026, 10, 1), keys, WORTH_SAMPLING + more) for more in (-1, 0))
    assert few.sample == keys
    assert many.sample == first_part(keys, 16)


@pytest.mark.parametrize(("size", "number"), [(1, 5), (2, 3), (4, 2), (5, 1), (9, 1)])
def test_a_portion_is_never_of_more_events_than_fit(
    size: int, number: int, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metering.pricing.portions.SIZE", size)
    call = rated_calls.event("text", provider="openai", input_tokens=1, output_tokens=1)
    drawn = [msgspec.structs.replace(call, external_request_id=f"r{n}") for n in range(5)]
    ingest(drawn, now=NOON + timedelta(days=1))
    found = portions(Month.of(NOON))
    assert [each.keys for each in found] == key_ranges(number)
    assert {each.day for each in found} == {NOON.date()}
