"""`python -m tests.lint_migrations`: finds migrations under which the released version would break.

While a new version is rolled out the released one still runs on the new schema: a column that it
does not fill must not be NOT NULL, and nothing that it reads may be dropped or renamed. What came
before the newest release (a tag like `v1.2.0`) is part of it; before the first there is nothing
that could break.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import django
from django.conf import settings
from django.core.management import call_command

APPS: Final = ("metering", "allocation", "billing")
ROOT: Final = Path(__file__).resolve().parent.parent


def main() -> None:
    released = newest_release()
    if released is None:
        sys.stdout.write("no release is tagged yet, so no migration can break one\n")
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    settings.INSTALLED_APPS.append("django_migration_linter")
    django.setup()
    call_command(
        "lintmigrations",
        released,
        database="migrator",
        include_apps=[*APPS],
        no_cache=True,
        quiet=["ok", "ignore", "warning"],
    )


def newest_release() -> str | None:
    """The tag of the newest release that this checkout follows."""
    found = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None


if __name__ == "__main__":
    main()
