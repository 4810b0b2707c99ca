"""Portions of a month: what a sample of one is."""

from __future__ import annotations

from datetime import date

import pytest

from metering.events import first_part, key_ranges
from metering.pricing.portions import WORTH_SAMPLING, Portion


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
