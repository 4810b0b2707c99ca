"""A process that sends a file of usage in batches, over connections that stay open, and prints how
many events were taken in and in how many seconds, as JSON."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

from tests.benchmarks.sending import Batch, request, send_all

KIND = "application/x-ndjson"


def main(url: str, key: str, path: str, size: int, connections: int) -> None:
    batches = []
    with Path(path).open("rb") as lines:
        while batch := list(islice(lines, size)):
            sent = request(url, "/api/v1/usage", key, KIND, b"".join(batch))
            batches.append(Batch(sent, len(batch)))
    done = send_all(url, batches, connections, lambda answer: int(json.loads(answer)["accepted"]))
    print(json.dumps(done._asdict()))


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
