"""Prices calls with `litellm.cost_per_token`, a list of keyword arguments a line of standard input,
and answers each line with the processor seconds that took. Run by an interpreter that has litellm.
"""

from __future__ import annotations

import json
import sys
from time import process_time

import litellm  # type: ignore[import-not-found]


def main() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # it prints help about what it does not know
    litellm.suppress_debug_info = True
    for line in sys.stdin:
        calls = json.loads(line)
        unknown = 0
        start = process_time()
        for call in calls:
            try:
                litellm.cost_per_token(**call)
            except Exception:
                unknown += 1
        seconds = process_time() - start
        print(json.dumps({"seconds": seconds, "unknown": unknown}), file=answers, flush=True)


main()
