"""The settings of production: nothing for `check --deploy` to complain about, nothing over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from config.environment import ROOT, VARIABLES

PRODUCTION = {
    "DATABASE_URL": "postgres://apportion:one@db.example.com/apportion",
    "MIGRATION_DATABASE_URL": "postgres://apportion_owner:two@db.example.com/apportion",
    "REDIS_URL": "redis://redis.example.com/0",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "IDENTITY_HASH_KEY": "ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfedcba9876543210",
    "ALLOWED_HOSTS": "books.example.com",
}


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """manage.py in a process of its own, with these of our variables and no others."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_django_finds_nothing_to_warn_of() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_the_check_does_warn_where_https_is_off() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION, HTTPS="off")
    assert done.returncode == 1
    assert "security.W008" in done.stderr


ANSWERS = """
import json
from django.test import Client
from django.urls import path
plain = Client().get("/admin/login/", headers={"host": "books.example.com"})
secure = Client().get(
    "/admin/login/", headers={"host": "books.example.com", "x-forwarded-proto": "https"}
)
print(json.dumps([plain.status_code, plain.get("Location"), secure.status_code,
    secure.get("Strict-Transport-Security"), secure.cookies["csrftoken"]["secure"]]))
"""


def test_plain_http_is_sent_to_https_and_the_proxy_is_believed() -> None:
    done = manage("shell", "--no-imports", "-c", ANSWERS, **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        301,
        "https://books.example.com/admin/login/",
        200,
        "max-age=31536000; includeSubDomains",
        True,
    ]
