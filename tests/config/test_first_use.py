"""Whoever comes for the first time is told what is missing and what to do, in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.test import Client

from metering.management.answering import AnsweringCommand
from tests.databases import ROOT, pointed_at
from tests.metering.api.keys import post, secret, sent
from tests.serving import child_environment

ANSWERING = [
    command
    for name, app in sorted(get_commands().items())
    if app in ("metering", "allocation", "billing")
    and isinstance(command := load_command_class(app, name), AnsweringCommand)
]
NOWHERE = "there_is_no_such_database"


def test_a_database_that_is_not_there_is_no_traceback(fresh_db: str) -> None:
    for command in ANSWERING:
        out = StringIO()
        with pointed_at(NOWHERE), pytest.raises(CommandError, match="cannot be reached: see that"):
            command.execute(skip_checks=False, json=True, stdout=out)
        assert NOWHERE in json.loads(out.getvalue())["error"]["message"]


def test_one_that_was_not_set_up_says_how(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    owner_connection.execute("ALTER TABLE django_migrations RENAME TO elsewhere")
    for command in ANSWERING:
        with pytest.raises(CommandError, match=r"not set up: run manage\.py migrate"):
            command.execute(skip_checks=False, json=False)


def test_one_that_is_behind_says_by_how_much(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    newest = "SELECT max(id) FROM django_migrations WHERE app = 'billing'"
    owner_connection.execute(f"DELETE FROM django_migrations WHERE id = ({newest})")
    with pytest.raises(CommandError, match="1 migration is not applied"):
        ANSWERING[0].execute(skip_checks=False, json=False)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["migrate"], {}, f'database "{NOWHERE}" does not exist'),
        (["verify"], {"COMPANY_TIME_ZONE": "Moon/Crater"}, "the settings cannot be used: COMPANY"),
    ],
)
def test_a_command_line_ends_with_a_sentence(
    arguments: list[str], variables: dict[str, str], said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=child_environment(NOWHERE, variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("path", ["/api/v1/usage", "/lago/api/v1/events", "/api/v1/finance/bills"])
def test_a_servers_first_request_says_so_too(
    path: str, fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    for table in ("django_migrations", "api_key"):
        owner_connection.execute(f"ALTER TABLE {table} RENAME TO {table}_elsewhere")
    ask = Client(raise_request_exception=False)
    method = ask.get if "finance" in path else ask.post
    answer = method(path, headers={"Authorization": "Bearer apk_abc_def"})
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the database is not set up: run manage.py migrate"


def test_other_faults_stay_faults(fresh_db: str, owner_connection: psycopg.Connection) -> None:
    key = secret()
    owner_connection.execute("ALTER TABLE owner_book_version RENAME TO elsewhere")
    ask = Client(raise_request_exception=False)
    answer = ask.post(
        "/api/v1/usage", sent(), "application/json", headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 500
    assert answer.json()["type"].endswith(":server-error")
    owner_connection.execute("ALTER TABLE elsewhere RENAME TO owner_book_version")
    assert post(key, sent()).status_code == 200
