import pytest

from metering.domain.identity import identify
from tests.metering.events import call

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"user_id": "u1"}, "user"),
        ({"user_id": "u1", "anon_id": "a1"}, "user"),
        ({"anon_id": "a1"}, "anonymous"),
        ({"ip_hash": "i1"}, "anonymous"),
        ({"agent_hash": "g1"}, "anonymous"),
        ({}, "unknown"),
        ({"user_id": ""}, "unknown"),
        ({"user_id": "  "}, "unknown"),
    ],
)
def test_kinds_of_caller(sent: dict[str, str], kind: str) -> None:
    lookup, found = identify(call(**sent), KEY)
    assert found == kind
    assert (lookup is None) is (kind == "unknown")


def test_the_same_text_as_user_and_as_anonymous_id_is_two_callers() -> None:
    assert identify(call(user_id="x"), KEY)[0] != identify(call(anon_id="x"), KEY)[0]


def test_the_hash_needs_the_key() -> None:
    event = call(user_id="x")
    assert identify(event, KEY)[0] != identify(event, b"j" * 32)[0]
