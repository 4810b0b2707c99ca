"""The numbers of advisory locks: one each, or two things wait for each other that have nothing to
do with one another."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("metering", "allocation", "billing")


def numbers() -> dict[int, list[str]]:
    """Where each number stands that a module calls a lock."""
    found = defaultdict(list)
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                match node:
                    case ast.AnnAssign(
                        target=ast.Name(id=name), value=ast.Constant(value=int(number))
                    ) if name.endswith("_LOCK"):
                        found[number].append(f"{path.relative_to(ROOT)}: {name}")
                    case _:
                        pass
    return found


def test_no_two_locks_have_one_number() -> None:
    found = numbers()
    assert len(found) > 8
    assert [places for places in found.values() if len(places) > 1] == []
