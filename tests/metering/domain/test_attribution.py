from datetime import UTC, datetime

import pytest

from metering.domain.attribution import Dated, DatedTargets, OwnerBook, SourceDefaults
from metering.domain.cells import UNALLOCATED, Owner
from tests.metering.events import NOON, call


def always(target: str) -> DatedTargets:
    return DatedTargets.of([Dated(None, None, target)])


BOOK = OwnerBook(
    cost_centres=frozenset({UNALLOCATED, "cc-named", "cc-tag", "cc-user", "cc-tenant", "cc-src"}),
    by_cost_centre={"legacy": always("cc-named")},
    by_endpoint_tag={"checkout.summary": always("cc-tag")},
    by_user={"hash": always("cc-user")},
    by_tenant={"acme": always("cc-tenant"), "globex": always("cc-user")},
    by_source={"test": always("cc-src")},
    user_tenants={"hash": always("globex")},
    source_tenants={"test": always("initech")},
    sources={"test": SourceDefaults("proj-default")},
)


@pytest.mark.parametrize(
    ("sent", "user", "centre", "route"),
    [
        ({"cost_center": "cc-named"}, "hash", "cc-named", "cost_centre"),
        ({"cost_center": "legacy"}, "hash", "cc-named", "cost_centre"),
        ({}, "hash", "cc-tag", "endpoint_tag"),
        ({"endpoint_tag": None}, "hash", "cc-user", "user"),
        ({"endpoint_tag": "other"}, "", "cc-tenant", "tenant"),
        ({"endpoint_tag": None, "tenant_id": "zeta"}, "", "cc-src", "source"),
        ({"endpoint_tag": None, "tenant_id": "zeta", "source": "s"}, "", UNALLOCATED, UNALLOCATED),
        ({"cost_center": "ghost"}, "", "cc-tag", "endpoint_tag, unknown cost centre"),
    ],
)
def test_the_cost_centre_resolves_in_the_stated_order(
    sent: dict[str, str], user: str, centre: str, route: str
) -> None:
    event = call(**sent)
    tenant = BOOK.tenant_of(event, user)
    assert BOOK.cost_centre_of(event, user, tenant) == (centre, route)


def test_the_tenant_is_as_sent_else_the_users_else_the_sources_else_none() -> None:
    assert BOOK.tenant_of(call(), "hash") == "acme"
    assert BOOK.tenant_of(call(tenant_id=None), "hash") == "globex"
    assert BOOK.tenant_of(call(tenant_id=None), "") == "initech"
    assert BOOK.tenant_of(call(tenant_id=None, source="s"), "") == ""


def test_a_share_of_a_shared_call_is_owned_like_a_call_of_that_tenant() -> None:
    event = call(endpoint_tag=None)
    assert BOOK.tenant_owner(event, "globex") == Owner("cc-user", "globex")


def test_mappings_hold_from_their_start_until_before_their_end() -> None:
    october = datetime(2026, 10, 1, tzinfo=UTC)
    targets = DatedTargets.of([Dated(october, NOON, "b"), Dated(None, october, "a")])
    assert targets.at(datetime(2020, 1, 1, tzinfo=UTC)) == "a"
    assert targets.at(october) == "b"
    assert targets.at(NOON) is None


def test_the_project_is_as_tagged_else_the_sources() -> None:
    assert BOOK.project_of(call(tags={"provider_project": "p1"})) == "p1"
    assert BOOK.project_of(call()) == "proj-default"
    assert BOOK.project_of(call(source="s")) == ""
