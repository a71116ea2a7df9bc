"""Tables as files: a spreadsheet and a data frame show the values that were written, and evaluate none of them."""

from __future__ import annotations

import csv
import os
import re
import stat
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from verifywise_mlflow.exports import excel_table, parquet_table
from verifywise_mlflow.exports.table_file import TableFileError, check_table_path, write_table

HOSTILE = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "＝1+1",
    "=cmd|' /C calc'!A0",
)
HARMLESS = ("churn", "a=b", "-0.5", "+3", "1e-5", "'quoted'", "a,b;c", 'say "no"', "Straße 模型")


@dataclass(frozen=True, slots=True)
class Inner:
    """A part of a row."""

    approver: str
    on: date


@dataclass(frozen=True, slots=True)
class Row:
    """A row with a column of each type."""

    name: str | None
    count: int | None = None
    share: float | None = None
    is_known: bool | None = None
    at: datetime | None = None
    aliases: tuple[str, ...] = ()
    waiver: Inner | None = None


FULL = Row(
    "churn",
    -3,
    0.25,
    True,
    datetime(2026, 3, 1, 14, 30, 15, 250_000, tzinfo=timezone(timedelta(hours=2))),
    ("champion", "eu"),
    Inner("Ada", date(2026, 12, 31)),
)
COLUMNS = ["name", "count", "share", "is_known", "at", "aliases", "waiver_approver", "waiver_on"]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True, slots=True)
class ExcelCell:
    """A cell as Excel stores it."""

    type: str | None
    text: str
    style: int


def read_excel(path: Path, sheet: int = 1) -> list[list[ExcelCell]]:
    """Return the cells of a sheet from its XML, so that no library interprets the cells."""
    namespace = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{sheet}.xml"))
    assert not root.findall(".//m:f", namespace), "a cell is a formula"
    assert not root.findall(".//m:hyperlink", namespace), "a cell is a link"
    return [
        [
            ExcelCell(cell.get("t"), "".join(cell.itertext()), int(cell.get("s", "0")))
            for cell in row.findall("m:c", namespace)
        ]
        for row in root.findall(".//m:row", namespace)
    ]


def quoted_styles(path: Path) -> set[int]:
    """Return the numbers of the styles whose cells stay texts when they are edited."""
    with zipfile.ZipFile(path) as archive:
        styles = archive.read("xl/styles.xml").decode()
    (formats,) = re.findall(r"<cellXfs.*?</cellXfs>", styles, re.DOTALL)
    return {number for number, style in enumerate(re.findall(r"<xf .*?>", formats)) if 'quotePrefix="1"' in style}


def test_csv_has_numbers_times_in_utc_and_a_column_for_each_part(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"

    assert write_table(path, Row, [FULL, Row(None)]) == 2

    full, empty = read_csv(path)
    assert list(full) == COLUMNS
    assert list(full.values()) == [
        *("churn", "-3", "0.25", "true", "2026-03-01T12:30:15.250000+00:00", "champion, eu", "Ada", "2026-12-31")
    ]
    assert set(empty.values()) == {""}
    assert b',-3,0.25,"true"' in path.read_bytes()


@dataclass(frozen=True, slots=True)
class AnyRow:
    """A row with a value of any type."""

    before: object


def test_values_of_any_type_are_texts_and_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    values = (None, "ada", 0.5, float("nan"), {"auc": 1, "at": FULL.at}, ["ü"])

    write_table(path, AnyRow, map(AnyRow, values))

    assert pq.read_table(path)["before"].to_pylist() == [
        *(None, "ada", "0.5", "NaN", '{"auc": 1, "at": "2026-03-01T12:30:15.250000+00:00"}', '["ü"]')
    ]


def test_excel_has_numbers_and_dates_as_such_and_explains_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"

    write_table(path, Row, [FULL])

    headings, cells = read_excel(path)
    assert [cell.text for cell in headings] == COLUMNS
    assert [(cell.type, cell.text) for cell in cells[:4]] == [
        *(("inlineStr", "churn"), (None, "-3"), (None, "0.25"), ("b", "1"))
    ]
    days_since_1900 = float(cells[4].text)
    assert cells[4].type is None
    assert timedelta(days=days_since_1900) + datetime(1899, 12, 30) == datetime(2026, 3, 1, 12, 30, 15, 250_000)
    assert float(cells[7].text) == (date(2026, 12, 31) - date(1899, 12, 30)).days
    assert [row[0].text for row in read_excel(path, 2)] == ["column", *COLUMNS]


def test_parquet_has_typed_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"

    write_table(path, Row, [FULL, Row(None)])

    table = pq.read_table(path)
    assert [str(kind) for kind in table.schema.types] == [
        *(
            "string",
            "int64",
            "double",
            "bool",
            "timestamp[us, tz=UTC]",
            "list<element: string>",
            "string",
            "date32[day]",
        )
    ]
    full, empty = table.to_pylist()
    assert full["at"] == datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
    assert (full["aliases"], full["waiver_on"]) == (["champion", "eu"], date(2026, 12, 31))
    assert (empty["count"], empty["aliases"]) == (None, [])


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_a_spreadsheet_would_evaluate_is_inert(text: str, tmp_path: Path) -> None:
    csv_path, excel_path = tmp_path / "rows.csv", tmp_path / "rows.xlsx"

    write_table(csv_path, Row, [Row(text, aliases=(text,))])
    write_table(excel_path, Row, [Row(text, aliases=(text,))])

    (row,) = read_csv(csv_path)
    assert row["name"].startswith("'")
    assert row["aliases"].startswith("'")
    _, (name, aliases) = read_excel(excel_path)
    assert {name.type, aliases.type} == {"inlineStr"}
    assert {name.style, aliases.style} <= quoted_styles(excel_path)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_unchanged(text: str, tmp_path: Path) -> None:
    csv_path, excel_path = tmp_path / "rows.csv", tmp_path / "rows.xlsx"

    write_table(csv_path, Row, [Row(text)])
    write_table(excel_path, Row, [Row(text)])

    assert read_csv(csv_path)[0]["name"] == text
    name = read_excel(excel_path)[1][0]
    assert (name.text, name.style in quoted_styles(excel_path)) == (text, False)


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".parquet"])
def test_any_text_of_a_server_can_be_written(ending: str, tmp_path: Path) -> None:
    texts = ["\ud800", "\x00", "a\nb", "\u202egnp.exe", "x" * 40_000, "\U0010ffff"]

    assert write_table(tmp_path / f"rows{ending}", Row, [Row(text) for text in texts]) == len(texts)


def test_numbers_that_excel_does_not_have_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"

    write_table(path, Row, [Row("a", 2**60, float("nan"), at=datetime(1850, 1, 1, tzinfo=UTC))])

    cells = read_excel(path)[1]
    assert [(cell.type, cell.text) for cell in cells[1:4]] == [
        *(("inlineStr", str(2**60)), ("inlineStr", "nan"), ("inlineStr", "1850-01-01T00:00:00+00:00"))
    ]


def test_rows_beyond_the_limit_of_a_sheet_go_to_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_table, "MAX_ROWS_PER_SHEET", 3)
    path = tmp_path / "rows.xlsx"

    assert write_table(path, Row, [Row(str(number)) for number in range(7)]) == 7

    sheets = [[row[0].text for row in read_excel(path, sheet)[1:]] for sheet in (1, 2, 3)]
    assert sheets == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".parquet"])
def test_an_error_leaves_the_file_as_it_was_and_nothing_else(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{ending}"
    path.write_text("before")

    def failing() -> Iterator[Row]:
        yield Row("a")
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError, match="the database is gone"):
        write_table(path, Row, failing())

    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()

    write_table(tmp_path / "rows.csv", Row, [])

    assert stat.S_IMODE((tmp_path / "rows.csv").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")

    write_table(tmp_path / "link.csv", Row, [FULL])

    assert (tmp_path / "link.csv").is_symlink()
    assert read_csv(tmp_path / "target.csv")[0]["name"] == "churn"


@pytest.mark.parametrize("name", ["rows.txt", "rows", ".csv", "rows.csv.gz"])
def test_an_unknown_ending_is_refused_with_those_that_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(TableFileError, match=r"\.csv, \.xlsx or \.parquet"):
        check_table_path(tmp_path / name)


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.csv"
    os.mkfifo(fifo)

    with pytest.raises(TableFileError, match="is not a file"):
        check_table_path(fifo)


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".parquet"])
def test_memory_does_not_grow_with_the_number_of_rows(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_table, "ROWS_PER_GROUP", 100)

    def peak(count: int) -> int:
        tracemalloc.reset_peak()
        write_table(tmp_path / f"rows{ending}", Row, (Row(f"model-{number}" * 40, number) for number in range(count)))
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        write_table(tmp_path / f"rows{ending}", Row, [FULL])  # imports and caches
        few, many = peak(200), peak(2_000)
    finally:
        tracemalloc.stop()

    assert many < few + 200_000  # the texts alone have 800,000 bytes
