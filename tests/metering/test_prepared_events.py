"""What is worked out once for a kind of calls is what would be worked out for each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import prepared_events
from metering.domain.attribution import Dated, DatedTargets, OwnerBook, SourceDefaults
from metering.domain.cells import UNALLOCATED
from metering.domain.identity import lookup_hash
from metering.domain.price_book import PriceBook
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Price
from metering.domain.rating import rate
from metering.domain.rollup import row_keys
from metering.domain.usage import Share, UsageEvent
from metering.event_rows import SEALED, instant_text, owned_text
from metering.prepared_events import CallKinds, PreparedEvent, prepare
from tests.metering.domain.rated_calls import TEXT, per_million
from tests.metering.events import NOON, call

KEY = b"a key of the installation"
LATER = NOON + timedelta(hours=1)
MAPPED, SERVICE = "ann", "robot"


def _hash(user: str) -> bytes:
    return lookup_hash(KEY, b"user", user)


def _changing(before: str, after: str) -> DatedTargets:
    return DatedTargets.of([Dated(None, LATER, before), Dated(LATER, None, after)])


OWNERS = OwnerBook(
    cost_centres=frozenset({UNALLOCATED, "cc-1"}),
    by_endpoint_tag={"tag": _changing("cc-tag", "cc-tag-later")},
    by_user={_hash(MAPPED).hex(): _changing("cc-ann", "cc-ann-later")},
    by_tenant={"acme": _changing("cc-acme", "cc-acme-later")},
    user_tenants={_hash(MAPPED).hex(): _changing("acme", "globex")},
    service_accounts=frozenset({_hash(SERVICE)}),
    sources={"test": SourceDefaults("proj-default")},
)
CHEAPER = {**TEXT, "input_tokens": per_million("1")}
LISTED = ListedProvider(
    "acme",
    (
        ListedModel("lasting", Clause("equals", "lasting")),
        ListedModel("changing", Clause("equals", "changing")),
    ),
)
PRICES = PriceBook(
    [
        Price(1, "acme", "lasting", TEXT),
        Price(2, "acme", "changing", TEXT, valid_to=LATER),
        Price(3, "acme", "changing", CHEAPER, valid_from=LATER),
    ],
    [PriceList(datetime(2026, 1, 1, tzinfo=UTC), "test", (LISTED,))],
)

calls = st.builds(
    lambda request_id, **sent: call(request_id, provider="acme", **sent),
    st.text("abc", min_size=1, max_size=2),
    model=st.sampled_from(["lasting", "changing", "unknown"]),
    occurred_at=st.sampled_from([NOON, LATER - timedelta(microseconds=1), LATER]),
    tenant_id=st.sampled_from([None, "acme", "globex"]),
    endpoint_tag=st.sampled_from([None, "tag"]),
    cost_center=st.sampled_from([None, "cc-1", "ghost"]),
    user_id=st.sampled_from([None, MAPPED, SERVICE, "someone"]),
    service_tier=st.sampled_from(["standard", "flex"]),
    served_from=st.sampled_from(["provider", "caller_cache"]),
    tags=st.sampled_from([{}, {"provider_project": "proj"}, {"other": "tag"}]),
    latency_ms=st.sampled_from([None, 0, 800]),
    input_tokens=st.integers(400, 500),
    shares=st.sampled_from([(), (Share(tenant_id="acme", input_tokens=7, output_tokens=3),)]),
)


NEIGHBOURS: dict[str, list[Any]] = {
    "occurred_at": [NOON, LATER],
    "user_id": [None, MAPPED, SERVICE, "someone"],
    "model": ["lasting", "changing", "unknown"],
    "tenant_id": [None, "acme", "globex"],
    "endpoint_tag": [None, "tag"],
    "cost_center": [None, "cc-1", "ghost"],
    "service_tier": ["standard", "flex"],
    "served_from": ["provider", "caller_cache"],
    "tags": [{}, {"provider_project": "proj"}],
}
"""Values of fields by which an event that is alike otherwise is of another kind."""


def _prepared(event: UsageEvent, kinds: CallKinds) -> PreparedEvent:
    return prepare(event, kinds=kinds, hash_key=KEY, received_at=instant_text(NOON))


def _said(prepared: PreparedEvent) -> tuple[Any, ...]:
    """All of it but the number of its kind."""
    kind = prepared.kind._replace(number=0)
    return (
        kind,
        *(getattr(prepared, name) for name in prepared.__struct_fields__ if name != "kind"),
    )


@given(st.lists(calls, max_size=12))
def test_events_that_meet_a_known_kind_are_prepared_as_if_they_were_the_first(
    events: list[UsageEvent],
) -> None:
    kinds = CallKinds(OWNERS, PRICES)
    for event in events:
        assert _said(_prepared(event, kinds)) == _said(_prepared(event, CallKinds(OWNERS, PRICES)))


@given(calls)
def test_a_kind_says_what_the_books_say_of_the_event(event: UsageEvent) -> None:
    kinds = CallKinds(OWNERS, PRICES)
    for name, others in NEIGHBOURS.items():
        for other in others:
            _check(msgspec.structs.replace(event, **{name: other}), kinds)


def _check(event: UsageEvent, kinds: CallKinds) -> None:
    prepared = _prepared(event, kinds)
    user = _hash(event.user_id).hex() if event.user_id else ""
    tenant = OWNERS.tenant_of(event, user)
    centre, route = OWNERS.cost_centre_of(event, user, tenant)
    owner, project = prepared.kind.owner, OWNERS.project_of(event)
    user_kind = prepared.kind.user_kind
    assert (owner.tenant, owner.cost_centre, prepared.kind.project) == (tenant, centre, project)
    assert user_kind == (
        "service" if event.user_id == SERVICE else "user" if event.user_id else "unknown"
    )
    assert prepared.kind.owned == owned_text(user_kind, owner, route)
    assert prepared.rating == rate(event, PRICES)
    for share, (part, keys) in zip(event.shares, prepared.parts, strict=False):
        assert part.owner == OWNERS.tenant_owner(event, share.tenant_id)
        assert keys == row_keys(event, part.owner, project, user_kind)
    assert prepared.parts[-1][1] == row_keys(event, owner, project, user_kind)
    sealed = dict(zip((name for name, _ in SEALED), prepared.sealed.split("\t"), strict=True))
    for name in ("provider", "model", "status", "environment", "external_request_id"):
        assert sealed[name] == getattr(event, name)


def test_kinds_beyond_what_is_remembered_are_worked_out_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepared_events, "REMEMBERED_KINDS", 2)
    kinds = CallKinds(OWNERS, PRICES)
    shares = (Share(tenant_id="t", input_tokens=1, output_tokens=1),)
    for number in range(7):
        event = call(model=f"m{number}", shares=shares)
        assert _said(_prepared(event, kinds)) == _said(_prepared(event, CallKinds(OWNERS, PRICES)))
        assert len(kinds._known) <= 2
        assert len(kinds._sharers) <= 2


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_is_written_with_all_six_decimals(instant: datetime) -> None:
    assert instant_text(instant) == instant.isoformat(timespec="microseconds")
