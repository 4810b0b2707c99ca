"""`add_person USER --role approver [--role …]`: a user with roles, or more roles for one."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from config.roles import ROLES
from metering import people
from metering.management.answering import AnsweringCommand


class Command(AnsweringCommand):
    help = "Adds a person with roles, or gives more roles to a person. " + "; ".join(
        f"{role.name}: {role.purpose}" for role in ROLES.values()
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USER")
        parser.add_argument(
            "--role", dest="roles", action="append", default=[], metavar="|".join(ROLES)
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            user, created = people.add(options["username"], options["roles"])
        except people.UnknownRole as error:
            raise CommandError(str(error)) from error
        roles = sorted(user.groups.values_list("name", flat=True))
        if options["json"]:
            self.stdout.write(
                json.dumps({"user": user.username, "created": created, "roles": roles})
            )
            return
        self.stdout.write(
            f"{user.username} {'is added' if created else 'is known'}: "
            f"{', '.join(roles) or 'no role'}"
        )
        if not user.has_usable_password():
            self.stdout.write(f"set a password with: manage.py changepassword {user.username}")
