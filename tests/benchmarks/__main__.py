"""`make bench`: every benchmark, a table, and `out/bench.json`.

ONLY=prefix runs those whose name starts with it, or with one of several.
"""

from __future__ import annotations

import json
import os
import sys
from collections import ChainMap
from pathlib import Path

import django
from rich.console import Console
from rich.table import Table

from config.garbage import collect_rarely


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    collect_rarely()
    from tests.benchmarks import ingest, month, otlp, pages, rating, rerating, soak

    only = tuple(os.environ.get("ONLY", "").split()) or ("",)
    console = Console()
    table = Table("benchmark", "value", "unit", "n", "baseline", "its value", "ratio")
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
            )
    if not results:
        console.print(f"no benchmark's name starts with {' or '.join(only)!r}")
        return 1
    out = Path("out")
    out.mkdir(exist_ok=True)
    (out / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
    console.print(table)
    return 0


sys.exit(main())
