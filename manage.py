#!/usr/bin/env python
"""Apportion's command line: `./manage.py help` lists the commands."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import DatabaseError

from config import read_by_nobody
from config.garbage import collect_rarely

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    collect_rarely()
    from config import history  # once the settings are named

    try:
        with read_by_nobody.quietly(), history.of_command(sys.argv):
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"the settings cannot be used: {error}")
    except DatabaseError:
        from config.health import what_the_database_lacks

        lacking = what_the_database_lacks()
        if lacking is None:
            raise
        sys.exit(lacking)
