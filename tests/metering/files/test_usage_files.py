"""Usage in files: every format, and every way a file can be broken."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import Rejection, UsageEvent
from metering.files import usage_files, usage_lines
from metering.files.usage_files import Format, Item, UnreadableFile, guess_format, open_usage

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def event(number: int, **fields: Any) -> dict[str, Any]:
    least = {"externalRequestId": f"r{number}", "provider": "openai", "model": "gpt-4o-mini"}
    return {**least, "inputTokens": number, **fields}


def lines(*sent: dict[str, Any] | bytes) -> bytes:
    return b"".join(
        (item if isinstance(item, bytes) else json.dumps(item).encode()) + b"\n" for item in sent
    )


def items(path: Path, **options: Any) -> list[Item]:
    return list(open_usage(path, source="file", received_at=NOW, **options).items)


def outcome(path: Path, **options: Any) -> list[tuple[str, str]]:
    """Place and external id of what was read, place and reason of what was not."""
    return [
        (place, item.external_request_id if isinstance(item, UsageEvent) else item.reason)
        for place, item in items(path, **options)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "usage"


def test_bad_lines_cost_themselves_only(file: Path) -> None:
    file.write_bytes(
        usage_lines.BOM
        + lines(
            event(1),
            b"",
            b"{broken",
            event(2, latencyMs=-1),
            b'{"externalRequestId":"\xff"}',
            b'{"x":"' + b"y" * 3 * usage_lines.MAX_LINE + b'"}',
            b"  \r",
            event(3),
        )
        + json.dumps(event(4)).encode()
    )
    assert outcome(file) == [
        ("line 1", "r1"),
        ("line 3", "malformed_json"),
        ("line 4", "out_of_range"),
        ("line 5", "invalid_utf8"),
        ("line 6", "line_too_long"),
        ("line 8", "r3"),
        ("line 9", "r4"),
    ]
    for place, item in items(file):
        assert not isinstance(item, Rejection) or item.place == place


def test_a_file_without_line_ends_is_read_in_bounded_memory(file: Path) -> None:
    with file.open("wb") as out:
        out.write(b'{"a":"')
        for _ in range(64):
            out.write(b"x" * (1 << 20))
    tracemalloc.start()
    try:
        assert outcome(file) == [("line 1", "no_line_end")]
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_gzip_is_seen_by_content(file: Path) -> None:
    file.write_bytes(gzip.compress(lines(event(1), event(2))))
    assert outcome(file) == [("line 1", "r1"), ("line 2", "r2")]


def test_a_cut_off_gzip_keeps_the_lines_before_the_cut(file: Path) -> None:
    random_ids = [event(n, userId=f"{n * 2654435761 % 2**32:x}") for n in range(20_000)]
    whole = gzip.compress(lines(*random_ids))
    file.write_bytes(whole[: len(whole) // 2])
    *good, (place, last) = items(file)
    assert isinstance(last, Rejection)
    assert last.reason == "damaged_file"
    assert place == f"line {len(good) + 1}"
    assert [item.external_request_id for _, item in good if isinstance(item, UsageEvent)] == [
        f"r{n}" for n in range(len(good))
    ]
    assert len(good) > 1000


def test_a_gzip_with_a_wrong_checksum_says_so_at_its_end(file: Path) -> None:
    whole = bytearray(gzip.compress(lines(event(1))))
    whole[-8] ^= 1
    file.write_bytes(bytes(whole))
    assert outcome(file, format="native") == [("line 1", "r1"), ("line 2", "damaged_file")]


def test_a_json_array(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(json.dumps([event(1), 5, event(2)], indent=1))
    assert outcome(file) == [("index 0", "r1"), ("index 1", "not_an_object"), ("index 2", "r2")]
    file.write_text(json.dumps([event(1)])[:-1])
    with pytest.raises(UnreadableFile, match="no whole JSON array"):
        items(file)
    monkeypatch.setattr(usage_files, "MAX_ARRAY", 10)
    with pytest.raises(UnreadableFile, match="one object a line"):
        items(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\x1f\x8b\x00\x00", "no whole gzip"),
        (b"what is this", "neither the file's name nor its content"),
    ],
)
def test_files_that_cannot_be_read_at_all(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UnreadableFile, match=said) as error:
        items(file)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b'data: {"id": "chatcmpl-1", "choices": []}\n\ndata: [DONE]\n\n',
        b'event: message_start\ndata: {"type": "message_start"}\n\n',
        b": keep-alive\r\n\r\nid: 7\r\nevent: x\r\ndata:[1]\r\n\r\n",
    ],
)
@pytest.mark.parametrize("format", [None, "native", "responses", "csv"])
def test_a_recorded_stream_is_refused_as_what_it_is(
    tmp_path: Path, content: bytes, format: Format | None
) -> None:
    path = tmp_path / "stream.txt"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"stream.txt: the file is a recorded stream"):
        open_usage(path, source="s", received_at=NOW, format=format)


def test_recorded_streams_of_others_are_seen(shared_data: Path) -> None:
    streams = sorted((shared_data / "anthropic-sdk-sse").glob("*.txt"))
    assert len(streams) > 3
    for path in streams:
        with pytest.raises(UnreadableFile, match="recorded stream"):
            guess_format(path)


def test_a_table_whose_column_is_called_data_is_no_stream(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("data: source,event: kind\na,b\n")
    assert guess_format(path) == "csv"


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        for form in (None, "native", "csv", "parquet"):
            with pytest.raises(UnreadableFile):
                open_usage(path, source="file", received_at=NOW, format=form)


def test_formats_are_seen_by_content_and_name(tmp_path: Path) -> None:
    for name, content, form in (
        ("a.jsonl", lines(event(1)), "native"),
        ("b", lines(event(1)), "native"),
        ("c.jsonl", lines({**event(1), "totalTokens": 1}), "opsmeter"),
        ("d.csv", b"a,b\n", "csv"),
        ("e.csv.gz", gzip.compress(b"a,b\n"), "csv"),
        ("f.json", b"broken", "native"),
        ("g.bin", b"PAR1....", "parquet"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert guess_format(path) == form


def test_a_column_map_is_for_tables(file: Path) -> None:
    file.write_bytes(lines(event(1)))
    with pytest.raises(UnreadableFile, match="column map"):
        open_usage(file, source="file", received_at=NOW, column_map={"model": "Model"})


def test_an_unfit_file_is_told_of_at_once(file: Path) -> None:
    file.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(UnreadableFile, match="externalRequestId"):
        open_usage(file, source="file", received_at=NOW, format="csv")


HEADER = "externalRequestId,provider,model,inputTokens,Remark\r\n"


def row(number: int, remark: str = "") -> str:
    return f"r{number},openai,gpt-4o-mini,{number},{remark}\r\n"


def write_csv(path: Path, *rows: str) -> Path:
    path.write_bytes(HEADER.encode() + "".join(rows).encode("utf-8", "surrogateescape"))
    return path


def test_csv_as_rfc_4180_has_it(file: Path) -> None:
    write_csv(file, row(1, '"says ""hi"", twice\r\nor so"'), row(2), "\r\n", row(3))
    file.write_bytes(usage_lines.BOM + file.read_bytes())
    opened = open_usage(file, source="file", received_at=NOW, format="csv")
    assert opened.ignored == ("Remark",)
    assert [(place, type(item)) for place, item in opened.items] == [
        ("line 2", UsageEvent),
        ("line 4", UsageEvent),
        ("line 6", UsageEvent),
    ]


def test_bad_rows_of_csv_cost_themselves_only(file: Path) -> None:
    write_csv(
        file,
        row(1),
        row(2, '"never closed'),
        row(3),
        "r4,openai\r\n",
        row(5, "\udcff"),
        row(6, '"a"b'),
        "r7,openai,gpt-4o-mini,many,\r\n",
        row(8, "x" * usage_lines.MAX_LINE),
        row(9),
    )
    assert outcome(file, format="csv") == [
        ("line 2", "r1"),
        ("line 3", "malformed_row"),
        ("line 4", "r3"),
        ("line 5", "column_count"),
        ("line 6", "invalid_utf8"),
        ("line 7", "malformed_row"),
        ("line 8", "wrong_type"),
        ("line 9", "line_too_long"),
        ("line 10", "r9"),
    ]


def test_a_stray_quote_that_a_later_row_closes_draws_nothing_in(file: Path) -> None:
    write_csv(file, row(1, '"open'), row(2), row(3, '"closed"'), row(4))
    assert outcome(file, format="csv") == [
        ("line 2", "malformed_row"),
        ("line 3", "r2"),
        ("line 4", "r3"),
        ("line 5", "r4"),
    ]


def test_missing_and_repeated_columns(file: Path) -> None:
    write_csv(file, row(1))
    with pytest.raises(UnreadableFile, match=r"'Tokens'.*columns are .*'inputTokens'"):
        items(file, format="csv", column_map={"outputTokens": "Tokens"})
    file.write_text("model,model\n1,2\n")
    with pytest.raises(UnreadableFile, match="more than once"):
        items(file, format="csv")


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)))
def test_any_text_survives_csv(
    tmp_path_factory: pytest.TempPathFactory, remarks: list[str]
) -> None:
    """Whatever stands in a cell that is not used, the rows around it are read."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADER.strip().split(","))
    for number, remark in enumerate(remarks):
        writer.writerow([f"r{number}", "openai", "gpt-4o-mini", number, remark])
    path = tmp_path_factory.mktemp("csv") / "usage.csv"
    path.write_bytes(out.getvalue().encode())
    assert [said for _, said in outcome(path)] == [f"r{n}" for n in range(len(remarks))]


def test_parquet_is_exact(file: Path) -> None:
    duckdb.sql(
        """COPY (SELECT 'r' || n AS id, 'openai' AS provider, 'm' AS model,
             CAST(n AS DOUBLE) AS "inputTokens", CAST(0.1 AS DECIMAL(38, 18)) AS "units.seconds",
             TIMESTAMPTZ '2026-10-03 12:00:00.123456+00' AS "occurredAt",
             MAP {'team': 'growth'} AS tags,
             [{'tenantId': 'a', 'inputTokens': 1}] AS shares, [1] AS "Remark"
           FROM range(5000) t(n)) TO ? (FORMAT parquet)""",
        params=[str(file)],
    )
    opened = open_usage(
        file, source="file", received_at=NOW, column_map={"externalRequestId": "id"}
    )
    assert (opened.format, opened.ignored) == ("parquet", ("Remark",))
    read = list(opened.items)
    assert len(read) == 5000
    place, first = read[0]
    assert place == "row 1"
    assert isinstance(first, Rejection)  # a share of 1 of a call of 0 tokens
    assert first.reason == "shares_exceed_input"
    place, last = read[-1]
    assert place == "row 5000"
    assert isinstance(last, UsageEvent)
    assert last.input_tokens == 4999
    assert last.units == {"seconds": Decimal("0.1")}
    assert last.occurred_at == datetime(2026, 10, 3, 12, 0, 0, 123456, tzinfo=UTC)
    assert last.tags == {"team": "growth"}


def test_parquet_times_without_a_zone(file: Path) -> None:
    duckdb.sql(
        """COPY (SELECT 'r1' AS "externalRequestId", 'openai' AS provider, 'm' AS model,
             1 AS "inputTokens", TIMESTAMP '2026-10-03 12:00:00' AS "occurredAt")
           TO ? (FORMAT parquet)""",
        params=[str(file)],
    )
    assert outcome(file) == [("row 1", "wrong_type")]
    ((_, item),) = items(file, naive_utc=True)
    assert isinstance(item, UsageEvent)
    assert item.occurred_at == datetime(2026, 10, 3, 12, tzinfo=UTC)


def test_parquet_that_is_damaged_or_none(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(UnreadableFile, match="no readable Parquet") as told:
        items(file)
    assert "\n" not in str(told.value)
    expanded = tmp_path / "a*.parquet"
    expanded.write_bytes(b"PAR1")
    with pytest.raises(UnreadableFile, match="rename it"):
        items(expanded, format="parquet")
