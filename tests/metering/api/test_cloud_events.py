"""CloudEvents in binary mode: the context in headers, the data as the body."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.formats.cloudevents import cloud_event, structured
from metering.formats.spelt_out import Unreadable
from tests.metering.api.keys import counts, post, rows, secret, stored
from tests.metering.formats.test_business_outcomes import CLOUD as OUTCOME
from tests.metering.formats.test_metered_events import CLOUD

pytestmark = pytest.mark.usefixtures("db")

OPENMETER = "/openmeter/api/v1/events"
OUTCOMES = "/api/v1/outcomes"


def tell(
    path: str, event: dict[str, Any], kind: str = "application/json", body: bytes | None = None
) -> Any:
    """The event, sent in binary mode."""
    context = {
        f"ce_{name}": quote(str(value), safe="")
        for name, value in event.items()
        if name not in ("data", "datacontenttype")
    }
    data = json.dumps(event.get("data")).encode() if body is None else body
    return post(secret(), data, path=path, content_type=kind, **context)


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_usage_is_the_same_event_in_either_mode(kind: str) -> None:
    assert tell(OPENMETER, {**CLOUD, "userid": "Zoë"}, kind).status_code == 204
    other = post(
        secret(),
        {**CLOUD, "userid": "Zoë"},
        path=OPENMETER,
        content_type="application/cloudevents+json",
    )
    assert other.status_code == 204
    assert rows("SELECT tenant, input_tokens, user_pseudonym IS NOT NULL FROM usage_event") == [
        ("acme", 540, True)
    ]


def test_an_outcome_comes_in_binary_mode() -> None:
    assert counts(tell(OUTCOMES, OUTCOME).json()) == {"accepted": 1}
    again = post(secret(), OUTCOME, path=OUTCOMES, content_type="application/cloudevents+json")
    assert counts(again.json()) == {"duplicates": 1}


def test_an_outcome_needs_no_data() -> None:
    bare = {name: value for name, value in OUTCOME.items() if name != "data"}
    assert counts(tell(OUTCOMES, bare, body=b"").json()) == {"accepted": 1}


@pytest.mark.parametrize(
    ("different", "kind", "body", "said"),
    [
        ({}, "application/json", b'{"tokens":', "no JSON"),
        ({}, "application/json", b'{}, "id": "x"', "no JSON"),
        ({}, "text/plain", b"hello", "datacontenttype"),
        ({}, "application/json", b"[]", "data is no JSON object"),
        ({"specversion": "0.3"}, "application/json", None, "specversion"),
        ({"id": ""}, "application/json", None, "id is required"),
        ({"type": ""}, "application/json", None, "type is required"),
    ],
)
@pytest.mark.parametrize(("path", "event"), [(OPENMETER, CLOUD), (OUTCOMES, OUTCOME)])
def test_what_cannot_be_read_is_refused(
    path: str,
    event: dict[str, Any],
    different: dict[str, Any],
    kind: str,
    body: bytes | None,
    said: str,
) -> None:
    response = tell(path, {**event, **different}, kind, body)
    assert response.status_code in (200, 400)
    assert said in response.content.decode()
    assert stored() == 0
    assert rows("SELECT count(*) FROM business_outcome") == [(0,)]


def test_headers_that_are_no_text_are_refused() -> None:
    headers = {f"ce_{n}": str(v) for n, v in CLOUD.items() if n not in ("data", "subject")}
    response = post(secret(), CLOUD["data"], path=OPENMETER, ce_subject="%ff", **headers)
    assert response.status_code == 400
    assert "ce-subject is not UTF-8" in response.json()["detail"]


def test_events_headers_do_not_turn_a_structured_event_into_data() -> None:
    response = post(
        secret(),
        CLOUD,
        path=OPENMETER,
        content_type="application/cloudevents+json",
        ce_specversion="1.0",
        ce_id="another",
    )
    assert response.status_code == 204
    assert [event_id for (event_id,) in rows("SELECT event_id FROM usage_event")] == [
        f"{CLOUD['source']} {CLOUD['id']}"
    ]


@given(
    texts=st.dictionaries(
        st.sampled_from(["id", "source", "type", "subject", "tenantid"]),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
        min_size=5,
    ),
    data=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
)
def test_either_mode_reads_the_same(texts: dict[str, str], data: dict[str, Any]) -> None:
    told = {"specversion": "1.0", **texts}
    context = {name: quote(value, safe="") for name, value in told.items()}
    sent = json.loads(structured(context, "application/json", json.dumps(data).encode()))
    assert cloud_event(sent) == cloud_event({**told, "data": data})


@given(context=st.dictionaries(st.text(max_size=9), st.text(max_size=20)), body=st.binary())
def test_whatever_comes_is_written_as_one_event_or_refused(
    context: dict[str, str], body: bytes
) -> None:
    try:
        sent = structured(context, "application/json", body)
    except Unreadable:
        return
    assert isinstance(json.loads(sent), dict)
