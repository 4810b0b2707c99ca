"""A seal that is taken away, moved or rewritten breaks the chain of its book, and is named."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from metering import seal_chain, seals
from metering.domain.periods import Month
from metering.ingestion import ingest
from metering.models import Seal
from metering.seals import Bucket
from metering.verification.findings import Finding
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.parse("2026-10")


@pytest.fixture
def chains(fresh_db: str) -> None:
    """Three seals in each book, all of October."""
    for number in range(3):
        now = NOW + timedelta(hours=number)
        ingest([call(f"r{number}", occurred_at=NOON)], now=now)
        seals.seal(OCTOBER, now=now)
        owed = [Bucket(name, NOON, 1, f"{number}") for name in ("globex", "acme", "Ærø")]
        seals.seal_charges(OCTOBER, owed, now=now)


def found() -> list[Finding]:
    return list(seal_chain.check(OCTOBER))


@pytest.mark.usefixtures("chains")
def test_whole_chains_hold() -> None:
    assert found() == []
    assert sorted(Seal.objects.values_list("book", "sequence")) == [
        (book, sequence) for book in ("charge", "cost", "usage") for sequence in (1, 2, 3)
    ]
    for seal in Seal.objects.all():
        assert list(seal_chain.roots_missing({seal.book: seal.root}, OCTOBER)) == []


@pytest.mark.parametrize("book", ["usage", "cost", "charge"])
@pytest.mark.parametrize(
    ("tampering", "where", "what"),
    [
        (
            "DELETE FROM seal WHERE book = %(book)s AND sequence = 1",
            "seal 1",
            "it is missing",
        ),
        (
            "DELETE FROM seal WHERE book = %(book)s AND sequence = 2",
            "seal 2",
            "it is missing",
        ),
        (
            (
                "UPDATE seal SET sequence = 9 - sequence WHERE book = %(book)s AND sequence > 1;"
                "UPDATE seal SET sequence = sequence - 4 WHERE book = %(book)s AND sequence > 3"
            ),
            "seal 2",
            "does not follow the one before it",
        ),
        (
            "UPDATE seal SET root = repeat('0', 64) WHERE book = %(book)s AND sequence = 2",
            "seal 3",
            "does not follow the one before it",
        ),
    ],
    ids=["the first removed", "one removed", "two swapped", "one rewritten"],
)
@pytest.mark.usefixtures("chains")
def test_the_first_broken_link_is_named(
    owner_connection: psycopg.Connection, book: str, tampering: str, where: str, what: str
) -> None:
    owner_connection.execute(
        "DELETE FROM seal_bucket USING seal WHERE seal.id = seal_id AND book = %s", [book]
    )
    psycopg.ClientCursor(owner_connection).execute(tampering, {"book": book})
    links = [finding for finding in found() if "the chain breaks here" in finding.what]
    assert [(f.check, f.where) for f in links] == [(f"seal of the {book} book", where)]
    assert what in links[0].what


@pytest.mark.parametrize("book", ["usage", "cost", "charge"])
@pytest.mark.usefixtures("chains")
def test_a_rewritten_bucket_is_found_under_its_seal(
    owner_connection: psycopg.Connection, book: str
) -> None:
    owner_connection.execute(
        "UPDATE seal_bucket SET events = events + 1 WHERE id = (SELECT min(b.id) FROM seal_bucket b"
        " JOIN seal ON seal.id = seal_id WHERE book = %s AND sequence = 2)",
        [book],
    )
    (finding,) = found()
    assert (finding.check, finding.where) == (f"seal of the {book} book", "seal 2")
    assert "do not hash to its root" in finding.what


@pytest.mark.usefixtures("chains")
def test_the_last_seal_taken_away_is_missed_where_its_root_is_named(
    owner_connection: psycopg.Connection,
) -> None:
    last = Seal.objects.get(book="usage", sequence=3)
    owner_connection.execute("DELETE FROM seal_bucket WHERE seal_id = %s", [last.pk])
    owner_connection.execute("DELETE FROM seal WHERE id = %s", [last.pk])
    assert found() == []
    (finding,) = seal_chain.roots_missing({"usage": last.root}, OCTOBER)
    assert finding.check == "seal of the usage book"
    assert last.root[:12] in finding.what


def test_charges_are_sealed_at_the_instant_their_cycle_ends(fresh_db: str) -> None:
    owed = [Bucket("a\\b\tc", NOON + timedelta(minutes=30), 7, "x"), Bucket("acme", NOON, 1, "y")]
    seals.seal_charges(OCTOBER, owed, now=NOW)
    assert sorted(seals.sealed_charges(OCTOBER)) == sorted(owed)
    assert found() == []


def test_a_seal_names_every_bucket_that_differs_is_gone_or_is_new(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    hours = [NOON + timedelta(hours=hour) for hour in range(4)]
    keys = [
        str(outcome.key)
        for outcome in ingest(
            [call(f"r{i}", occurred_at=hour) for i, hour in enumerate(hours)], now=NOW
        )
    ]
    seals.seal(OCTOBER, now=NOW)
    assert list(seals.broken(OCTOBER)) == []
    for sql, key in (
        ("UPDATE usage_event SET seal_digest = sha256('x') WHERE event_key = %s", keys[0]),
        ("DELETE FROM usage_event WHERE event_key = %s", keys[1]),
        ("UPDATE usage_event SET value_digest = sha256('x') WHERE event_key = %s", keys[2]),
    ):
        owner_connection.execute(sql, [key])
    owner_connection.execute(
        "DELETE FROM seal_bucket WHERE hour_at = %s"
        " AND seal_id = (SELECT id FROM seal WHERE book = 'usage')",
        [hours[3]],
    )
    assert [tuple(x) for x in seals.broken(OCTOBER)] == [
        ("usage", "bucket acme|2026-10-03T12|1 differs"),
        ("usage", "bucket acme|2026-10-03T15|1 differs"),
        ("usage", "bucket acme|2026-10-03T13|1 has no events any more"),
        ("cost", "bucket acme|2026-10-03T14|1 differs"),
        ("cost", "bucket acme|2026-10-03T13|1 has no events any more"),
    ]
