#!/usr/bin/env python
"""Apportion's command line: `./manage.py help` lists the commands."""

import os
import sys

from django.core.management import execute_from_command_line

from config.garbage import collect_rarely

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    collect_rarely()
    from config import history  # once the settings are named

    with history.of_command(sys.argv):
        execute_from_command_line(sys.argv)
