"""`python -m config.serve`: web, worker and scheduler on this machine, as one command.

Sets the database up, makes a login once, and runs the three until Ctrl-C. Where the ordinary
database is still empty and `make demo` has left its month, that month is shown.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from http.client import HTTPConnection, HTTPException
from typing import Final

import django

from config.environment import ROOT
from config.supervisor import Program, supervise

HOST: Final = "127.0.0.1"
LOCAL: Final = {"DJANGO_SETTINGS_MODULE": "config.settings", "HTTPS": "off", "LOG_FORMAT": "plain"}
"""What a server on localhost assumes where nothing else is said."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port: int = parser.parse_args(arguments).port
    if not 0 < port < 2**16:
        parser.error(f"port {port}: choose one between 1 and 65535")
    if is_taken(port):
        sys.stderr.write(
            f"port {port} is in use by another program: stop it, or choose another port, like "
            f"make serve PORT={port + 1}\n"
        )
        return 1
    for name, value in LOCAL.items():
        os.environ.setdefault(name, value)
    django.setup()
    from config import local_setup  # it needs the settings

    chosen, login = local_setup.prepare()
    _say(f"{chosen}\nstarting")
    return supervise(
        programs(port),
        folder=ROOT,
        environment={**os.environ, "APPORTION_DATABASE": chosen.name},
        output=sys.stdout,
        is_ready=lambda: is_ready(port),
        on_ready=lambda: _say(
            f"\n  Apportion is at http://localhost:{port}/ : {login}\n"
            f"  REST API: http://localhost:{port}/api/docs/\n"
            "  Ctrl-C stops everything\n"
        ),
    )


def programs(port: int) -> tuple[Program, ...]:
    """What production runs, each once."""
    from config.celery import scheduler_command, worker_command  # they need the settings

    granian = (sys.executable, "-m", "granian", "--interface", "rsgi")
    place = ("--host", HOST, "--port", str(port))
    return (
        Program("web", (*granian, *place, "config.rsgi:application")),
        Program("worker", tuple(worker_command())),
        Program("beat", tuple(scheduler_command())),
    )


def is_taken(port: int) -> bool:
    """Whether a program listens there. granian would share the port with another granian."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def is_ready(port: int) -> bool:
    """Whether the web says that it is."""
    connection = HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200  # noqa: PLR2004
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
