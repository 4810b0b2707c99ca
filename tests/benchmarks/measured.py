"""What a benchmark says: one figure, and where it has a yardstick, the ratio to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Any


@dataclass(frozen=True)
class Measured:
    """`ratio` is value ÷ baseline_value, both measured in this run; `n` is the work's size."""

    name: str
    value: float
    unit: str
    n: int
    baseline: str | None = None
    baseline_value: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline_value if self.baseline_value else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio}


Benchmark = Callable[[], Iterator[Measured]]


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the start, asked for by calling what it gives."""
    start = perf_counter()
    yield lambda: perf_counter() - start


@contextmanager
def processor_stopwatch() -> Iterator[Callable[[], float]]:
    """Processor seconds of this process since the start: for work that waits for nobody, so that
    what else the machine does meanwhile makes neither side of a comparison slower."""
    start = process_time()
    yield lambda: process_time() - start
