"""`python -m config.embedded start|stop|status|env|remove`."""

from __future__ import annotations

import argparse
import shutil
import sys
from urllib.parse import quote

from config.embedded import postgres, valkey
from config.embedded.places import Places
from config.environment import APPLICATION, OWNER, Environment, read


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "status", "env", "remove"))
    action = parser.parse_args(arguments).action
    environment = read()
    places = environment.embedded
    if action == "start":
        _start(environment)
    elif action == "remove" and (others := postgres.clients(places)):
        _say(f"{others} connections are open to the server of {places.home}: nothing was removed")
        return 1
    elif action in ("stop", "remove"):
        stopped = [postgres.stop(places), valkey.stop(places)]
        _say("stopped" if any(stopped) else "nothing was running")
        if action == "remove":
            _remove(places)
    elif action == "env":
        for name, value in connection_variables(places).items():
            _say(f"{name}={value}")
    else:
        return _status(places)
    return 0


def connection_variables(places: Places) -> dict[str, str]:
    """The variables by which another process meets the embedded servers as if they were given."""
    host = quote(str(places.sockets), safe="")
    return {
        "DATABASE_URL": f"postgres://{APPLICATION}@{host}/{APPLICATION}",
        "MIGRATION_DATABASE_URL": f"postgres://{OWNER}@{host}/{APPLICATION}",
        "REDIS_URL": f"unix://{places.valkey_socket}?db=0",
    }


def _start(environment: Environment) -> None:
    if environment.embeds_postgres:
        postgres.ensure_running(environment.embedded)
    if environment.embeds_redis:
        valkey.ensure_running(environment.embedded)
    _status(environment.embedded)


def _status(places: Places) -> int:
    up = {"PostgreSQL": postgres.answers(places), "Valkey": valkey.answers(places)}
    for name, answers in up.items():
        _say(f"{name:<10} {'running' if answers else 'stopped'}")
    _say(f"data       {places.home}\nsockets    {places.sockets}")
    return 0 if all(up.values()) else 3


def _remove(places: Places) -> None:
    for folder in (places.sockets, places.home, places.var):
        shutil.rmtree(folder, ignore_errors=True)
        _say(f"removed {folder}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
