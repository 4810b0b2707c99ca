"""Imported drivers: exact, dated, and never two values at once."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, transaction

from allocation.drivers import (
    ImportedDrivers,
    InvalidDrivers,
    read_driver_file,
    readings,
    store_drivers,
)
from allocation.models import DriverValue
from metering import owners
from metering.domain.cells import Owner
from metering.domain.drivers import DriverQuery
from metering.domain.periods import Month

pytestmark = pytest.mark.usefixtures("cost_centres")

HEADER = "driver,cost_centre,tenant,value,valid_from,valid_to\n"
OCTOBER = Month(2026, 10)


@pytest.fixture
def cost_centres(db: None, tmp_path: Path) -> None:
    path = tmp_path / "owners.csv"
    rows = (f"cost_centre,cc-{letter},Centre {letter},ana\n" for letter in "abcde")
    path.write_text("kind,key,target,responsible\n" + "".join(rows))
    owners.import_file(path)


def take_in(*rows: str) -> ImportedDrivers:
    text = StringIO(HEADER + "".join(f"{row}\n" for row in rows))
    now = datetime(2026, 11, 2, tzinfo=UTC)
    return store_drivers(read_driver_file(text), author="ana", now=now)


def seats(month: Month = OCTOBER) -> dict[str, Decimal]:
    query = DriverQuery("driver:seats")
    found = readings(month, [query])[query]
    return {owner.cost_centre: value for (owner, _), value in found.items()}


def test_a_value_counts_for_the_days_of_the_month_that_it_held() -> None:
    take_in(
        "seats,cc-a,,10,2026-01-01,",
        "seats,cc-b,acme,0.5,2026-10-17,2026-11-05",
        "seats,cc-c,,7,2026-09-01,2026-10-01",
        "seats,cc-d,,7,2026-11-01,",
        "heads,cc-e,,9,2026-01-01,",
    )
    assert seats() == {"cc-a": Decimal(310), "cc-b": Decimal("7.5")}
    heads, tokens = DriverQuery("driver:heads"), DriverQuery("tokens")
    assert readings(OCTOBER, [tokens, heads]) == {
        heads: {(Owner("cc-e"), ""): Decimal(279)},
        tokens: {},
    }


def test_a_change_within_the_month_counts_both_values() -> None:
    take_in("seats,cc-a,,10,2026-01-01,2026-10-11", "seats,cc-a,,20,2026-10-11,")
    assert seats() == {"cc-a": Decimal(10 * 10 + 20 * 21)}


def test_values_are_kept_exactly() -> None:
    take_in("floor,cc-a,,0.1000000000000000000000000000000000001,2026-10-01,2026-10-02")
    assert DriverValue.objects.get().value == Decimal("0.1000000000000000000000000000000000001")


def test_the_same_file_twice_changes_nothing() -> None:
    rows = ("seats,cc-a,,10,2026-01-01,", "driver:seats,cc-b,,1.50,2026-01-01,2026-05-01")
    assert take_in(*rows) == ImportedDrivers(2, 0, 0)
    assert take_in(*rows) == ImportedDrivers(0, 0, 2)


def test_an_open_value_is_ended_and_may_be_withdrawn() -> None:
    take_in("seats,cc-a,,10,2026-01-01,")
    assert take_in("seats,cc-a,,10,2026-01-01,2026-10-16") == ImportedDrivers(0, 1, 0)
    assert seats() == {"cc-a": Decimal(150)}
    assert take_in("seats,cc-a,,10,2026-01-01,2026-01-01") == ImportedDrivers(0, 1, 0)
    assert take_in("seats,cc-a,,12,2026-01-01,") == ImportedDrivers(1, 0, 0)
    assert seats() == {"cc-a": Decimal(372)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["seats,cc-a,,10,2026-03-01,", "seats,cc-a,,11,2026-05-01,"],
         r"line 3: seats of cc-a/ is already 10 from 2026-03-01 until further notice"),
        (["seats,cc-a,,10,2026-03-01,2026-06-01", "seats,cc-a,,1,2026-01-01,"], "line 3"),
        (["seats,cc-a,,ten,2026-03-01,"], "line 2: value 'ten' is no number"),
        (["seats,cc-a,,-1,2026-03-01,"], "line 2: value -1 must be zero or more"),
        (["seats,cc-a,,NaN,2026-03-01,"], "line 2: value NaN"),
        (["seats,cc-a,,1,1.3.2026,"], r"line 2: valid_from '1\.3\.2026' is no day"),
        (["seats,cc-a,,1,2026-03-01,2026-02-01"], "line 2: valid_to 2026-02-01 is before"),
        (["seats,cc-a,,1,2026-03-01,2026-03-01"], "line 2: there is no such value to withdraw"),
        (["seats,,,1,2026-03-01,"], "line 2: driver and cost_centre"),
        (["seats,cc-a,,1,2026-03-01,", "seats,cc-x,,1,2026-03-01,"],
         r"line 3: no cost centre 'cc-x' is registered; import it first .*did you mean cc-"),
        (["seats,cc-a"], "line 2: as many fields"),
        (["seats,cc-a,,1,2026-03-01,,surplus"], "line 2: as many fields"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_whole(rows: list[str], message: str) -> None:
    with pytest.raises(InvalidDrivers, match=message):
        take_in(*rows)
    assert not DriverValue.objects.exists()


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidDrivers, match="column value, valid_from is missing"):
        list(read_driver_file(StringIO("driver,cost_centre,tenant\n")))


def test_the_database_refuses_two_values_at_once_and_any_edit() -> None:
    take_in("seats,cc-a,,10,2026-01-01,")
    mine = DriverValue.objects.get()
    with pytest.raises(Error, match="one_driver_value_at_a_time"), transaction.atomic():
        DriverValue.objects.create(
            driver="seats",
            cost_centre="cc-a",
            value=Decimal(1),
            valid_from=date(2026, 5, 1),
            author="b",
        )
    with pytest.raises(Error, match="Cannot update"), transaction.atomic():
        DriverValue.objects.update(value=11)
    with pytest.raises(Error, match="Cannot delete"), transaction.atomic():
        mine.delete()


def test_the_command_answers_and_refuses(tmp_path: Path) -> None:
    path = tmp_path / "seats.csv"
    path.write_text("\ufeff" + HEADER + "seats,cc-a,,10,2026-01-01,\n", encoding="utf-8")
    out = StringIO()
    call_command("import_drivers", str(path), "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"added": 1, "ended": 0, "unchanged": 0}
    path.write_text(HEADER + "seats,cc-a,,x,2026-01-01,\n", encoding="utf-8")
    with pytest.raises(CommandError, match=r"seats\.csv: line 2: value 'x' is no number"):
        call_command("import_drivers", str(path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("seats,cc-a,,1e400,2026-01-01,", "line 2: value 1E.400 is out of all proportion"),
        ("seats,cc-a,,1e-400,2026-01-01,", "line 2: value 1E-400 is out of all proportion"),
        ("seats,cc\0a,,1,2026-01-01,", "line 2: cost_centre .* holds a character"),
        (f"seats,{'a' * 200_000},,1,2026-01-01,", "this is no row of CSV"),
    ],
)
def test_a_hostile_row_is_refused_by_line(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "drivers.csv"
    path.write_text(HEADER + row + "\n")
    with pytest.raises(CommandError, match=message):
        call_command("import_drivers", str(path))
    with pytest.raises(CommandError, match="is a folder"):
        call_command("import_drivers", str(tmp_path))
