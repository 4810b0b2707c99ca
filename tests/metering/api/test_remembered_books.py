"""What is remembered between requests is never older than the request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, connections, transaction

from metering import owners
from metering.domain.attribution import OwnerBook
from metering.models import CostCentre, OwnerMapping, UserIdentity
from metering.pricing import catalogue
from tests.metering.api.keys import post, secret, sent

pytestmark = pytest.mark.usefixtures("fresh_db")


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def centre_of_acme() -> str:
    """Whose the next event of acme is."""
    post(secret(), sent(f"now-{count('usage_event')}"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT cost_centre FROM usage_event ORDER BY received_at DESC LIMIT 1")
        return str(cursor.fetchone()[0])


def test_a_mapping_committed_before_the_request_is_seen() -> None:
    assert centre_of_acme() == "unallocated"
    CostCentre.objects.create(code="sales", name="Sales", responsible="head of sales")
    mapping = OwnerMapping.objects.create(kind="tenant", key="acme", cost_centre_id="sales")
    assert centre_of_acme() == "sales"
    CostCentre.objects.create(code="shop", name="Shop", responsible="head of shop")
    OwnerMapping.objects.filter(pk=mapping.pk).update(cost_centre_id="shop")
    assert centre_of_acme() == "shop"
    mapping.delete()
    assert centre_of_acme() == "unallocated"


def test_a_change_by_sql_and_by_another_connection_is_seen() -> None:
    CostCentre.objects.create(code="sales", name="Sales", responsible="head of sales")
    assert centre_of_acme() == "unallocated"

    def elsewhere() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO owner_mapping (kind, key, reason, created_at, cost_centre_id)"
                    " VALUES ('tenant', 'acme', '', now(), 'sales')"
                )
        finally:
            connections.close_all()

    other = threading.Thread(target=elsewhere)
    other.start()
    other.join()
    assert centre_of_acme() == "sales"


def test_a_book_that_nobody_changed_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    load = owners.load_book

    def counted() -> OwnerBook:
        read.append(1)
        return load()

    monkeypatch.setattr(owners, "load_book", counted)
    key = secret()
    for number in range(3):
        post(key, sent(f"req-{number}"))
    assert len(read) == 1
    CostCentre.objects.create(code="sales", name="Sales", responsible="head of sales")
    post(key, sent("req-4"))
    assert len(read) == 2


def test_an_erased_person_is_forgotten_at_once() -> None:
    pseudonym = owners.pseudonym_of("ann")
    CostCentre.objects.create(code="sales", name="Sales", responsible="head of sales")
    OwnerMapping.objects.create(kind="user", key=str(pseudonym), cost_centre_id="sales")
    assert len(owners.current_book().by_user) == 1
    UserIdentity.objects.all().delete()
    assert len(owners.current_book().by_user) == 0


def test_inside_a_transaction_nothing_is_remembered() -> None:
    with transaction.atomic():
        for number in range(2):
            CostCentre.objects.create(code=f"c{number}", name="C", responsible="somebody")
            assert f"c{number}" in owners.current_book().cost_centres


@pytest.mark.parametrize(
    ("module", "read", "ask"),
    [
        pytest.param(owners, "load_book", owners.current_book, id="owners"),
        pytest.param(catalogue, "_layers", catalogue.load_book, id="prices"),
    ],
)
def test_a_book_that_several_need_at_once_is_read_by_one_of_them(
    monkeypatch: pytest.MonkeyPatch, module: Any, read: str, ask: Callable[[], object]
) -> None:
    together, second = threading.Barrier(2), threading.Barrier(2)
    really = getattr(module, read)
    found = []

    def reading() -> object:
        with suppress(threading.BrokenBarrierError):
            second.wait(0.3)  # for the other one, which must not come
        return really()

    def asking() -> None:
        try:
            together.wait(5)
            found.append(ask())
        finally:
            connections.close_all()

    monkeypatch.setattr(module, read, reading)
    monkeypatch.setattr(module, "_books", {})
    askers = [threading.Thread(target=asking) for _ in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert second.broken, "both have read it"
    assert found[0] is found[1]
