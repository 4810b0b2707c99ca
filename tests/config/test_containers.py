"""The description of production's containers, as far as it can be held against the code without
building any: programs exist, settings are known, images are pinned."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from config.environment import ROOT, VARIABLES

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "apportion"}
LOCAL_ONLY = {"DEBUG", "APPORTION_VAR", "APPORTION_DATABASE", "STATIC_ROOT"}
"""What a container has no use for, or the image sets itself."""


def written_variables(text: str) -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{(\w+)", text))


def commands() -> Iterator[tuple[str, list[str]]]:
    for name, service in OURS.items():
        if "command" in service:
            yield name, service["command"]
    said = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert said
    yield "image", yaml.safe_load(said[1])


def test_web_worker_scheduler_and_migration_are_there() -> None:
    assert set(OURS) == {"web", "worker", "beat", "migrate"}


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_what_is_started_exists(name: str, command: list[str]) -> None:
    program = command[0]
    assert shutil.which(program) or (ROOT / ".venv" / "bin" / program).exists()
    if program == "python":
        assert (ROOT / command[1]).exists()
        return
    (target,) = [word for word in command if re.fullmatch(r"[\w.]+:\w+", word)]
    module, _, attribute = target.partition(":")
    assert getattr(importlib.import_module(module), attribute) is not None


def test_every_setting_reaches_the_containers_and_no_unknown_one() -> None:
    given = set(COMPOSE["x-apportion"]["environment"])
    wanted = set(VARIABLES) - LOCAL_ONLY - {"MIGRATION_DATABASE_URL"}
    assert given == wanted
    assert set(OURS["migrate"]["environment"]) == wanted | {"MIGRATION_DATABASE_URL"}


@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_only_the_migration_knows_the_owner(name: str) -> None:
    assert "OWNER_PASSWORD" not in str(OURS[name])


def test_every_variable_of_the_description_is_explained() -> None:
    example = (ROOT / ".env.example").read_text()
    used = written_variables((ROOT / "docker-compose.yml").read_text())
    assert [name for name in sorted(used) if f"# {name}=" not in example] == []


def test_images_are_pinned() -> None:
    images = {service["image"] for service in SERVICES.values()} - {"apportion"}
    images |= set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert [image for image in images if not re.search(r":\d+(\.\d+|-\w)", image)] == []


def test_what_one_waits_for_is_there_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            assert name in SERVICES
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[name]["healthcheck"]


def test_the_image_runs_as_nobody_special_from_the_lock() -> None:
    assert re.search(r"^USER apportion$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes -r /tmp/base.txt" in DOCKERFILE
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", ".git", "var"} <= set(ignored)
    health = re.search(r"CMD (\[.*healthz.*\])", DOCKERFILE)
    assert health
    assert shlex.join(yaml.safe_load(health[1])).startswith("python -c")
