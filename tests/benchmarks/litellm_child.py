"""Prices the calls on standard input (one JSON object of keyword arguments a line) with
`litellm.cost_per_token`, and says how long that took. Run by an interpreter that has litellm."""

from __future__ import annotations

import json
import sys
from time import perf_counter

import litellm  # type: ignore[import-not-found]


def main() -> None:
    calls = [json.loads(line) for line in sys.stdin]
    unknown = 0
    start = perf_counter()
    for call in calls:
        try:
            litellm.cost_per_token(**call)
        except Exception:
            unknown += 1
    seconds = perf_counter() - start
    print(json.dumps({"seconds": seconds, "unknown": unknown}))


main()
