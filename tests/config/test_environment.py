"""What the operator may leave out, and what is refused with the remedy."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.embedded.places import LONGEST_SOCKET_PATH, POSTGRES_SOCKET, Places
from config.environment import ROOT, VARIABLES, Https, LogFormat, read

SERVED = {"DATABASE_URL": "postgres://app:p%40ss@db:5433/books"}
KEYS = {"SECRET_KEY": "s" * 50, "IDENTITY_HASH_KEY": "i" * 50}


@pytest.mark.parametrize("absent", KEYS)
def test_production_without_a_key_is_refused(absent: str) -> None:
    given = {name: value for name, value in KEYS.items() if name != absent}
    with pytest.raises(ImproperlyConfigured, match=f"{absent} must be set"):
        read({**SERVED, **given})


def test_generated_keys_are_private_and_stay(tmp_path: Path) -> None:
    var = {"APPORTION_VAR": str(tmp_path / "var")}
    first, second = read(var), read(var)
    assert first.identity_hash_key == second.identity_hash_key
    assert first.identity_hash_key != first.secret_key
    mode = (tmp_path / "var" / "identity_hash_key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_one_address_serves_both_roles_if_only_one_is_given() -> None:
    environment = read({**SERVED, **KEYS})
    assert environment.migrator_database == environment.application_database
    assert environment.application_database["PASSWORD"] == "p@ss"
    assert not environment.embeds_postgres


def test_https_is_expected_of_a_server_and_not_of_a_laptop(tmp_path: Path) -> None:
    laptop = read({"APPORTION_VAR": str(tmp_path)})
    assert (laptop.https, laptop.log_format) == (Https.OFF, LogFormat.PLAIN)
    server = read({**SERVED, **KEYS})
    assert (server.https, server.log_format) == (Https.PROXY, LogFormat.JSON)
    assert read({**SERVED, **KEYS, "HTTPS": "direct"}).https is Https.DIRECT


@pytest.mark.parametrize("server", [{}, {**SERVED, **KEYS}])
def test_another_database_on_the_same_server(server: dict[str, str], tmp_path: Path) -> None:
    given = {**server, "APPORTION_VAR": str(tmp_path)}
    before, after = read(given), read({**given, "APPORTION_DATABASE": "apportion_demo"})
    assert (before.names_database, after.names_database) == (False, True)
    for database in (after.application_database, after.migrator_database):
        assert database["NAME"] == "apportion_demo"
    assert after.application_database["HOST"] == before.application_database["HOST"]


def test_a_socket_folder_can_be_a_host() -> None:
    given = {"DATABASE_URL": "postgres://apportion@%2Fvar%2Frun/apportion"}
    assert read({**given, **KEYS}).application_database["HOST"] == "/var/run"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"MIGRATION_DATABASE_URL": SERVED["DATABASE_URL"]}, "DATABASE_URL is not"),
        ({"DATABASE_URL": "mysql://a@b/c", **KEYS}, "PostgreSQL is the only database"),
        ({"LEDGER_HORIZON_DAYS": "0"}, "LEDGER_HORIZON_DAYS"),
        ({"COMPANY_TIME_ZONE": "Mars/Olympus"}, "IANA zone"),
        ({"HTTPS": "yes"}, "HTTPS is 'yes'; it must be one of proxy, direct, off"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'loud'"),
        ({"CSRF_TRUSTED_ORIGINS": "books.example.com"}, "with its scheme"),
    ],
)
def test_what_cannot_work_is_refused(variables: dict[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        read({"APPORTION_VAR": str(tmp_path), **variables})


def test_the_example_names_every_variable() -> None:
    example = (ROOT / ".env.example").read_text()
    assert [name for name in VARIABLES if f"# {name}=" not in example] == []


def test_sockets_stay_short_however_deep_the_folder_is() -> None:
    deep = Places.under(Path("/tmp") / ("deep/" * 40))
    assert len(str(deep.sockets / POSTGRES_SOCKET)) <= LONGEST_SOCKET_PATH
    assert deep.sockets != Places.under(Path("/tmp") / ("deeper/" * 40)).sockets
