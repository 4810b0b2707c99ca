"""`make bench`: every benchmark, a table, and `out/bench.json`: each figure, and whether it is what
is asked.

ONLY=prefix runs those whose name starts with it, or with one of several.
"""

from __future__ import annotations

import json
import os
import sys
from collections import ChainMap
from pathlib import Path
from typing import Final

import django
from rich.console import Console
from rich.table import Table

from config.garbage import collect_rarely
from tests.benchmarks.measured import Measured

NARROWEST: Final = 140
"""Columns that the table needs, whatever it is written to."""


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    collect_rarely()
    from tests.benchmarks import ingest, month, otlp, pages, rating, rerating, soak

    only = tuple(os.environ.get("ONLY", "").split()) or ("",)
    console = Console()
    console.width = max(console.width, NARROWEST)
    table = Table("benchmark", "value", "unit", "n", "baseline", "its value", "ratio", "asked")
    table.columns[0].no_wrap = True
    results = []
    benchmarks = (
        rating.BENCHMARKS,
        rerating.BENCHMARKS,
        ingest.BENCHMARKS,
        otlp.BENCHMARKS,
        month.BENCHMARKS,
        pages.BENCHMARKS,
        soak.BENCHMARKS,
    )
    for name, benchmark in ChainMap(*benchmarks).items():
        if not name.startswith(only):
            continue
        console.print(f"{name} …", style="dim")
        for measured in benchmark():
            results.append(measured.as_json())
            yardstick = measured.baseline_value
            table.add_row(
                measured.name,
                f"{measured.value:,.2f}",
                measured.unit,
                f"{measured.n:,}",
                measured.baseline or "",
                "" if yardstick is None else f"{yardstick:,.2f}",
                "" if measured.ratio is None else f"{measured.ratio:.3f}",
                _asked(measured),
            )
    if not results:
        console.print(f"no benchmark's name starts with {' or '.join(only)!r}")
        return 1
    out = Path("out")
    out.mkdir(exist_ok=True)
    (out / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
    console.print(table)
    return 0


def _asked(measured: Measured) -> str:
    if measured.asked is None:
        return ""
    return f"{measured.asked}: {'met' if measured.is_met else '[bold]MISSED[/bold]'}"


sys.exit(main())
