"""A process that sends a file of usage over and over, each time under ids of its own, and prints
after each round how many events were taken in and how fast, as a line of JSON. It goes on with the
next round when it is told to, by a line on its input that names the round."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.benchmarks.sending import Batch, request, send_all

KIND = "application/x-ndjson"
ID = b'"externalRequestId":"'


def main(url: str, key: str, path: str, size: int, connections: int) -> None:
    lines = Path(path).read_bytes().splitlines(keepends=True)
    for told in sys.stdin:
        named = ID + b"round-%d-" % int(told)
        batches = []
        for start in range(0, len(lines), size):
            some = lines[start : start + size]
            body = b"".join(some).replace(ID, named)
            batches.append(Batch(request(url, "/api/v1/usage", key, KIND, body), len(some)))
        done = send_all(
            url, batches, connections, lambda answer: int(json.loads(answer)["accepted"])
        )
        print(json.dumps(done._asdict()), flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
