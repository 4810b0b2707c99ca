from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

import pytest

from metering.domain.cells import Owner
from metering.domain.digests import canonical_json, digest_of, list_digest


def test_canonical_json_of_everything_we_digest() -> None:
    value = {
        "b": Decimal("1.50"),
        "a": [date(2026, 10, 1), datetime(2026, 10, 1, 2, tzinfo=timezone(timedelta(hours=2)))],
        "c": (Owner("cc", "t"), None, True, b"\x01", UUID(int=1)),
    }
    assert canonical_json(value) == (
        b'{"a":["2026-10-01","2026-10-01T00:00:00Z"],"b":"1.5",'
        b'"c":[["cc","t"],null,true,"01","00000000-0000-0000-0000-000000000001"]}'
    )
    assert digest_of(value) == sha256(canonical_json(value)).hexdigest()


def test_a_binary_float_has_no_digest() -> None:
    with pytest.raises(TypeError, match="binary float"):
        digest_of({"amount": 0.1})


def test_an_instant_without_zone_has_no_digest() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        digest_of([datetime(2026, 10, 1)])  # noqa: DTZ001 - that is the point


def test_a_list_digest_proves_the_set() -> None:
    one, two = (UUID(int=1), b"x"), (UUID(int=2), b"y")
    count, digest = list_digest([one, two])
    assert count == 2
    assert digest == sha256(one[0].bytes + b"x" + two[0].bytes + b"y").hexdigest()
    assert list_digest([one])[1] != digest
    assert list_digest([(UUID(int=1), b"z"), two])[1] != digest
    assert digest_of(datetime(2026, 1, 1, tzinfo=UTC)) != digest
