"""Tables in files, row by row: CSV through the standard library, Parquet through DuckDB."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from metering.domain.usage import Rejection
from metering.files.usage_lines import Line, TextFile

FETCH: Final = 2_000
"""Rows of Parquet that are in memory at a time."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SURROGATES: Final = ("\udc80", "\udcff")
_ZONED: Final = "TIMESTAMP WITH TIME ZONE"


class UnreadableTable(ValueError):
    """No row of the table can be read."""


class Row(NamedTuple):
    """The cells of one row, or why it could not be read."""

    place: str
    cells: Sequence[object] | Rejection


class Table(Protocol):
    """Named columns and a stream of rows."""

    names: tuple[str, ...]

    def rows(self, keep: Collection[str]) -> Iterator[Row]:
        """The rows in order, once; cells of columns outside `keep` may be left out (`None`)."""


class CsvTable:
    """RFC 4180, UTF-8, one header row. A row that cannot be read is refused alone: the lines
    that a stray quote drew into it are read again as rows of their own."""

    def __init__(self, file: TextFile) -> None:
        self._feed = _Feed(file.lines())
        header = next(self._records(None), None)
        if header is None:
            raise UnreadableTable(
                "the file is empty; a header row with the columns' names is needed"
            )
        if isinstance(header.cells, Rejection):
            raise UnreadableTable(f"the file has no readable header row: {header.cells.message}")
        self.names = tuple(str(name).strip() for name in header.cells)

    def rows(self, keep: Collection[str]) -> Iterator[Row]:  # noqa: ARG002 - cells are text already
        return self._records(len(self.names))

    def _records(self, width: int | None) -> Iterator[Row]:
        feed = self._feed
        reader = csv.reader(feed, strict=True)
        while True:
            feed.taken.clear()
            try:
                cells = next(reader)
                refused = self._misfit(cells, width)
            except StopIteration:
                yield from feed.troubles()
                return
            except csv.Error as error:
                refused = ("malformed_row", f"this is no row of CSV: {error}")
            yield from feed.troubles()
            if refused is not None:
                yield self._refused(*refused)
                reader = csv.reader(feed, strict=True)
            elif cells:
                yield Row(f"line {feed.taken[0][0]}", cells)

    def _misfit(self, cells: list[str], width: int | None) -> tuple[str, str] | None:
        """Why the cells make no row of this table: reason and message."""
        if cells and width is not None and len(cells) != width:
            message = (
                f"the row has {len(cells)} columns, the header has {width}; "
                "quote cells that hold commas or line ends"
            )
            return "column_count", message
        if any(_undecoded(cell) for cell in cells):
            return "invalid_utf8", "the row is not UTF-8; save the file as UTF-8"
        return None

    def _refused(self, reason: str, message: str) -> Row:
        """Refuse the record's first line and read its other lines again."""
        (number, _), *others = self._feed.taken
        self._feed.again.extendleft(reversed(others))
        place = f"line {number}"
        return Row(place, Rejection(place=place, reason=reason, message=message))


class _Feed:
    """Lines as text for the CSV reader, which remembers those of the current record."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._troubles: list[Rejection] = []
        self.again: deque[tuple[int, str]] = deque()
        self.taken: list[tuple[int, str]] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        while not self.again:
            number, content = next(self._lines)
            if isinstance(content, Rejection):
                self._troubles.append(content)
            else:
                self.again.append((number, content.decode("utf-8", "surrogateescape") + "\n"))
        line = self.again.popleft()
        self.taken.append(line)
        return line[1]

    def troubles(self) -> Iterator[Row]:
        """The lines that could not be read since this was last asked."""
        found, self._troubles = self._troubles, []
        return (Row(rejection.place, rejection) for rejection in found)


def _undecoded(cell: str) -> bool:
    if cell.isascii():
        return False
    low, high = _SURROGATES
    return any(low <= letter <= high for letter in cell)


class ParquetTable:
    """A Parquet file. Decimals and instants are exact; a `TIMESTAMP` has no zone."""

    def __init__(self, path: Path) -> None:
        if any(letter in str(path) for letter in "*?["):
            raise UnreadableTable(
                "the file has one of * ? [ in its name, which DuckDB expands; rename it"
            )
        import duckdb  # a quarter of a second, which no other file needs

        self._path = path
        self._unreadable = duckdb.Error
        self._connection = duckdb.connect(config={"threads": 1})
        try:
            described = self._connection.execute(
                "DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]
            ).fetchall()
        except self._unreadable as error:
            raise UnreadableTable(
                f"the file is no readable Parquet file: {_first_line(error)}"
            ) from error
        self._types = {str(name): str(kind) for name, kind, *_ in described}
        self.names = tuple(self._types)

    def rows(self, keep: Collection[str]) -> Iterator[Row]:
        number = 0
        zoned = [
            position
            for position, name in enumerate(self.names)
            if name in keep and self._types[name] == _ZONED
        ]
        try:
            result = self._connection.execute(self._query(keep), [str(self._path)])
            while fetched := result.fetchmany(FETCH):
                for cells in fetched:
                    number += 1
                    yield Row(f"row {number}", _with_instants(cells, zoned) if zoned else cells)
        except self._unreadable as error:
            place = f"row {number + 1}"
            yield Row(
                place,
                Rejection(
                    place=place,
                    reason="damaged_file",
                    message=f"the Parquet file cannot be read from here on: {_first_line(error)}",
                ),
            )
        finally:
            self._connection.close()

    def _query(self, keep: Collection[str]) -> str:
        columns = []
        for name in self.names:
            quoted = '"' + name.replace('"', '""') + '"'
            if name not in keep:
                columns.append("NULL")
            elif self._types[name] == _ZONED:
                columns.append(f"epoch_us({quoted})")
            else:
                columns.append(quoted)
        return f"SELECT {', '.join(columns)} FROM read_parquet(?)"


def _first_line(error: Exception) -> str:
    """What DuckDB says is wrong, without the query that it asked."""
    return str(error).partition("\n")[0]


def _with_instants(cells: Sequence[object], zoned: Sequence[int]) -> list[object]:
    """DuckDB hands out zoned times only through a library of zones; microseconds need none."""
    row = list(cells)
    for position in zoned:
        micros = row[position]
        if isinstance(micros, int):
            row[position] = _EPOCH + timedelta(microseconds=micros)
    return row
