#!/usr/bin/env python
"""Apportion's command line: `./manage.py help` lists the commands."""

import gc
import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Commands hold large books (prices, cells) for their whole life and make no cycles: looking
    # through them again every 700 objects costs a third of a month's run.
    gc.set_threshold(50_000, 20, 50)
    execute_from_command_line(sys.argv)
