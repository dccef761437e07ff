"""Are workbooks read as people mean them: titles, blanks, dates, errors, several sheets, damage?"""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from trueup.align.data_source import SheetSource
from trueup.data.errors import (
    AmbiguousSheet,
    BrokenFile,
    ColumnsDiffer,
    DuplicateColumns,
    NoHeader,
    NoRows,
    PasswordProtected,
    SheetMissing,
    UnsupportedSource,
)
from trueup.data.ingest import IngestReport, ingest
from trueup.data.workbooks import text_of
from trueup.kernel.periods import moment_of
from trueup.lake.tables import Tables

AS_OF = moment_of(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
Row = Sequence[Any]


def workbook(file: Path, **sheets: Sequence[Row]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(file)
    return file


def read(source: Path | SheetSource, lake: Path) -> tuple[IngestReport, pa.Table]:
    tables = Tables(lake)
    named = source if isinstance(source, SheetSource) else str(source)
    report = ingest(named, tables=tables, name="cases", as_of=AS_OF)
    return report, pa.Table.from_batches(tables.batches("cases"))


def codes(report: IngestReport) -> dict[str, str]:
    return {notice.code: notice.message for notice in report.notices}


def test_a_plain_sheet_becomes_numbers_dates_booleans_and_texts(tmp_path: Path) -> None:
    day = dt.datetime(2025, 3, 1, 14, 30)
    rows = [
        ("id", "amount", "on", "at", "paid", "channel"),
        (1, 10.5, dt.date(2025, 3, 1), day, True, "web"),
        (2, 12, dt.date(2025, 3, 2), day, False, "branch"),
        (3, None, None, None, None, None),
    ]
    report, table = read(workbook(tmp_path / "cases.xlsx", Cases=rows), tmp_path / "lake")
    assert report.format == "excel"
    assert table.column("id").to_pylist() == [1, 2, 3]
    assert table.column("amount").to_pylist() == [10.5, 12.0, None]
    assert table.column("on").to_pylist() == [dt.date(2025, 3, 1), dt.date(2025, 3, 2), None]
    assert table.column("at").to_pylist() == [day, day, None]
    assert table.column("paid").to_pylist() == [True, False, None]
    assert table.column("channel").to_pylist() == ["web", "branch", None]


def test_titles_above_the_header_and_blank_columns_on_the_left_are_left_out_and_said(tmp_path: Path) -> None:
    rows = [
        (None, None, "Applications of March"),
        (None, None, "as of", dt.date(2025, 4, 1)),
        (),
        (None, None, "id", "amount", "channel"),
        (None, None, 1, 10, "web"),
        (None, None, 2, 11, "web"),
    ]
    report, table = read(workbook(tmp_path / "cases.xlsx", March=rows), tmp_path / "lake")
    assert table.column_names == ["id", "amount", "channel"]
    assert table.num_rows == 2
    assert "the header is in row 4" in codes(report)["data.rows-above-header"]


def test_blank_rows_between_cases_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [("id", "amount"), (1, 10), (None, None), (), (2, 11)]
    report, table = read(workbook(tmp_path / "cases.xlsx", Cases=rows), tmp_path / "lake")
    assert table.column("id").to_pylist() == [1, 2]
    assert codes(report)["data.blank-rows"] == "2 blank rows were left out"


def test_error_cells_are_missing_and_counted_by_column(tmp_path: Path) -> None:
    file = workbook(tmp_path / "cases.xlsx", Cases=[("id", "rate"), (1, "#N/A"), (2, 0.5), (3, "#DIV/0!")])
    report, table = read(file, tmp_path / "lake")
    assert table.column("rate").to_pylist() == [None, 0.5, None]
    assert codes(report)["data.error-cells"].startswith("rate: 2 error cells")


def test_a_formula_gives_the_value_that_the_program_kept(tmp_path: Path) -> None:
    file = workbook(tmp_path / "cases.xlsx", Cases=[("a", "twice"), (1, 2), (2, 4)])
    edited = tmp_path / "formula.xlsx"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(edited, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert content.count(b"<v>4</v>") == 1
                content = content.replace(b"<v>4</v>", b"<f>A3*2</f><v>4</v>")
            new.writestr(name, content)
    _, table = read(edited, tmp_path / "lake")
    assert table.column("twice").to_pylist() == [2, 4]


def test_numbers_written_as_text_are_numbers_and_text_among_numbers_is_said(tmp_path: Path) -> None:
    rows: list[Row] = [("id", "amount", "mixed"), *((i, str(i), i) for i in range(1, 20)), (20, "20", "about 20")]
    report, table = read(workbook(tmp_path / "cases.xlsx", Cases=rows), tmp_path / "lake")
    assert table.column("amount").to_pylist() == list(range(1, 21))
    assert table.column("mixed").to_pylist()[-1] == "about 20"
    assert "mixed: 1 of 20 values are no numbers" in codes(report)["data.text-in-numbers"]


def test_codes_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    file = workbook(tmp_path / "cases.xlsx", Cases=[("id", "zip"), (1, "01067"), (2, "10115")])
    assert read(file, tmp_path / "lake")[1].column("zip").to_pylist() == ["01067", "10115"]


def test_merged_cells_have_their_value_once_and_that_is_said(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (("region", "sales"), ("north", 1), (None, 2)):
        sheet.append(row)
    sheet.merge_cells("A2:A3")
    book.save(tmp_path / "cases.xlsx")
    report, table = read(tmp_path / "cases.xlsx", tmp_path / "lake")
    assert table.column("region").to_pylist() == ["north", None]
    assert "data.merged-cells" in codes(report)


def test_several_sheets_must_be_told_apart_and_are_listed(tmp_path: Path) -> None:
    rows = [("id", "amount"), (1, 10)]
    file = workbook(tmp_path / "cases.xlsx", March=rows, April=rows)
    with pytest.raises(AmbiguousSheet, match='2 sheets: "March", "April"'):
        read(file, tmp_path / "lake")
    with pytest.raises(SheetMissing, match=r'no sheet "Aprill" \(did you mean "April"'):
        read(SheetSource(str(file), "Aprill"), tmp_path / "lake")
    assert read(SheetSource(str(file), "April"), tmp_path / "lake")[1].num_rows == 1


def test_hidden_and_empty_sheets_do_not_count_as_several(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "Empty"
    for name in ("Cases", "Lists"):
        sheet = book.create_sheet(name)
        sheet.append(["id", "amount"])
        sheet.append([1, 10])
    book["Lists"].sheet_state = "hidden"
    book.save(tmp_path / "cases.xlsx")
    assert read(tmp_path / "cases.xlsx", tmp_path / "lake")[1].num_rows == 1


def test_the_header_row_can_be_said(tmp_path: Path) -> None:
    rows = [("all", "cases"), (2024, 2025), (1, 10)]
    file = workbook(tmp_path / "cases.xlsx", Cases=rows)
    _, table = read(SheetSource(str(file), header_row=2), tmp_path / "lake")
    assert table.column_names == ["2024", "2025"]
    with pytest.raises(NoHeader, match="header_row = 9 is not there"):
        read(SheetSource(str(file), header_row=9), tmp_path / "other")


def test_a_sheet_of_numbers_has_no_header(tmp_path: Path) -> None:
    with pytest.raises(NoHeader, match="header_row = 1"):
        read(workbook(tmp_path / "cases.xlsx", Cases=[(1, 2), (3, 4)]), tmp_path / "lake")


def test_two_columns_of_one_name_are_refused_with_the_sheet(tmp_path: Path) -> None:
    with pytest.raises(DuplicateColumns, match='sheet "Cases": 2 columns share their names'):
        read(workbook(tmp_path / "cases.xlsx", Cases=[("id", "ID"), (1, 2)]), tmp_path / "lake")


def test_a_header_alone_and_an_empty_workbook_hold_no_rows(tmp_path: Path) -> None:
    with pytest.raises(NoRows, match="has a header but no rows"):
        read(workbook(tmp_path / "cases.xlsx", Cases=[("id", "amount")]), tmp_path / "lake")
    with pytest.raises(NoRows, match="no sheet that holds anything"):
        read(workbook(tmp_path / "empty.xlsx", Cases=[]), tmp_path / "lake")


def test_workbooks_of_one_header_are_read_one_below_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "months"
    folder.mkdir()
    workbook(folder / "1.xlsx", January=[("id", "amount"), (1, 10)])
    workbook(folder / "2.xlsx", February=[("id", "amount"), (2, 11)])
    assert read(folder, tmp_path / "lake")[1].column("id").to_pylist() == [1, 2]
    workbook(folder / "3.xlsx", March=[("id", "sum"), (3, 12)])
    with pytest.raises(ColumnsDiffer, match=r"3\.xlsx"):
        read(folder, tmp_path / "lake")
    assert Tables(tmp_path / "lake").get("cases").version == 0


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_workbook_cut_off_is_refused_and_leaves_the_previous_version(tmp_path: Path, kept: float) -> None:
    file = workbook(tmp_path / "cases.xlsx", Cases=[("id", "amount"), *((i, i) for i in range(200))])
    read(file, tmp_path / "lake")
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BrokenFile, match="damaged, cut off"):
        read(file, tmp_path / "lake")
    assert Tables(tmp_path / "lake").get("cases").rows == 200


def test_a_text_file_with_the_name_of_a_workbook_is_refused(tmp_path: Path) -> None:
    for ending in ("xlsx", "xls", "xlsb", "ods"):
        file = tmp_path / f"cases.{ending}"
        file.write_text("id,amount\n1,10\n")
        with pytest.raises(BrokenFile, match="not what its name says"):
            read(file, tmp_path / "lake")


def test_a_damaged_sheet_inside_a_whole_archive_is_refused(tmp_path: Path) -> None:
    file = workbook(tmp_path / "cases.xlsx", Cases=[("id", "amount"), *((i, i) for i in range(50))])
    broken = tmp_path / "broken.xlsx"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[: len(content) // 2] if name.startswith("xl/worksheets") else content)
    with pytest.raises(BrokenFile):
        read(broken, tmp_path / "lake")


def test_a_workbook_behind_a_password_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "cases.xlsx"
    file.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2_000))  # encrypted ones are OLE files
    with pytest.raises(PasswordProtected, match="save a copy without one"):
        read(file, tmp_path / "lake")


def test_a_sheet_of_an_open_document_is_read(tmp_path: Path) -> None:
    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
        return f'<table:table-cell office:value-type="float" office:value="{value}"/>'

    rows = [("id", "channel"), (1, "web"), (2, "branch")]
    written = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    space = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{space}:office:1.0" xmlns:table="{space}:table:1.0" '
        f'xmlns:text="{space}:text:1.0"><office:body><office:spreadsheet><table:table table:name="Cases">{written}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(tmp_path / "cases.ods", "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{space}:manifest:1.0"/>')
        file.writestr("content.xml", content)
    _, table = read(tmp_path / "cases.ods", tmp_path / "lake")
    assert table.to_pydict() == {"id": [1, 2], "channel": ["web", "branch"]}


def test_a_sheet_of_a_csv_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("a\n1\n")
    with pytest.raises(UnsupportedSource, match="has no sheets"):
        read(SheetSource(str(tmp_path / "cases.csv"), "Cases"), tmp_path / "lake")


def test_a_hundred_thousand_rows_come_in_with_every_value(tmp_path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Cases")
    sheet.append(["id", "amount"])
    for i in range(100_000):
        sheet.append([i, i / 4])
    book.save(tmp_path / "cases.xlsx")
    report, table = read(tmp_path / "cases.xlsx", tmp_path / "lake")
    assert report.rows == 100_000
    assert sum(table.column("id").to_pylist()) == 4_999_950_000
    assert sum(table.column("amount").to_pylist()) == 4_999_950_000 / 4


def test_cells_are_written_as_a_csv_would_have_them() -> None:
    assert [text_of(cell) for cell in (3.0, 0.1, True, "", 1e300)] == ["3", "0.1", "true", None, "1e+300"]
    assert text_of(dt.datetime(2025, 1, 2, 3, 4, 5)) == "2025-01-02 03:04:05"
    assert text_of(dt.datetime(2025, 1, 2)) == "2025-01-02"
    assert text_of(dt.time(3, 4)) == "03:04:00"
