"""The embedded Valkey (Redis): started and stopped."""

from __future__ import annotations

import time
from typing import Final

import redis

from config.embedded.binaries import valkey_program
from config.embedded.places import Places
from config.embedded.processes import ServerFailed, command_of, exclusively, run, tail

DATABASES: Final = 256
"""Numbered databases, so that test processes can have one each."""
START_SECONDS: Final = 60


def answers(places: Places) -> bool:
    """Whether the server is up and has loaded its data."""
    with client(places) as connected:
        try:
            return bool(connected.ping())
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False


def ensure_running(places: Places) -> None:
    """Return with a server that answers; does nothing if one does. Safe from many at once."""
    if answers(places):
        return
    with exclusively(places):
        if not answers(places):
            _start(places)


def stop(places: Places) -> bool:
    """Stop the server after it has written everything; False if there was none running."""
    if not places.home.is_dir():
        return False
    with exclusively(places), client(places) as connected:
        try:
            process_id = int(connected.info("server")["process_id"])
            connected.shutdown()
        except redis.ConnectionError:
            return False
        while command_of(process_id) is not None:
            time.sleep(0.01)
        return True


def _start(places: Places) -> None:
    data = places.own_folder(places.home / "valkey")
    places.own_folder(places.sockets)
    log = data / "server.log"
    options = {
        "port": "0",
        "unixsocket": str(places.valkey_socket),
        "unixsocketperm": "700",
        "daemonize": "yes",
        "dir": str(data),
        "pidfile": str(data / "server.pid"),
        "logfile": str(log),
        "appendonly": "yes",
        "save": "",
        "databases": str(DATABASES),
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = run(places, [valkey_program(places), *flags], folder=data)
    deadline = time.monotonic() + START_SECONDS
    while not answers(places):
        if done.returncode != 0 or time.monotonic() > deadline:
            raise ServerFailed(
                f"Valkey did not start ({done.stdout.strip()}). Its log {log} ends:\n{tail(log)}"
            )
        time.sleep(0.01)


def client(places: Places) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(places.valkey_socket))
