"""`python -m tests.lint_migrations`: finds migrations under which the running version would break.

While a new version is rolled out the old one still runs on the new schema: a column that it does
not fill must not be NOT NULL, and nothing that it reads may be dropped or renamed.
"""

from __future__ import annotations

import os
from typing import Final

import django
from django.conf import settings
from django.core.management import call_command

APPS: Final = ("metering", "allocation", "billing")
FIRST: Final = "0002_events"
"""Makes the event tables; no version ran on what it drops and alters."""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    settings.INSTALLED_APPS.append("django_migration_linter")
    django.setup()
    call_command(
        "lintmigrations",
        database="migrator",
        include_apps=[*APPS],
        ignore_name=[FIRST],
        no_cache=True,
        quiet=["ok", "ignore", "warning"],
    )


if __name__ == "__main__":
    main()
