"""Are separator, header and damage recognised before a row is read?"""

from __future__ import annotations

from pathlib import Path

import pytest

from trueup.data.duck import connect
from trueup.data.errors import DuplicateColumns, WrongEncoding
from trueup.data.reading import SourceTable, check_text, read_source
from trueup.data.sources import find_files


def table_of(file: Path) -> tuple[SourceTable, list[tuple[object, ...]]]:
    with connect(memory_limit_mb=200, threads=1, temp_directory=file.parent / "spill") as connection:
        table = read_source(find_files(str(file)), connection=connection, on_bytes=lambda count: None)
        return table, connection.execute(f"SELECT * FROM {table.relation}").fetchall()


def test_a_separator_inside_text_does_not_mislead(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("name;note\nA;one, two, three\nB;four, five, six\n")
    table, rows = table_of(tmp_path / "x.csv")
    assert list(table.types) == ["name", "note"]
    assert rows == [("A", "one, two, three"), ("B", "four, five, six")]


def test_a_column_without_a_name_gets_one_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(",a\n0,x\n")
    table, _ = table_of(tmp_path / "x.csv")
    assert list(table.types) == ["unnamed_1", "a"]
    assert table.remarks == (("data.unnamed-column", "column 1 has no name; it is called unnamed_1"),)


def test_a_header_may_hold_quotes_line_ends_and_separators(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('"a, ""b""","it\'s\nlong"\n1,2\n')
    table, rows = table_of(tmp_path / "x.csv")
    assert list(table.types) == ['a, "b"', "it's\nlong"]
    assert rows == [("1", "2")]


def test_a_file_whose_name_holds_glob_marks_is_read_alone(tmp_path: Path) -> None:
    (tmp_path / "case [1].csv").write_text("a\nright\n")
    (tmp_path / "case 1.csv").write_text("a\nwrong\n")
    assert table_of(tmp_path / "case [1].csv")[1] == [("right",)]


def test_two_unnamed_columns_do_not_clash_with_a_named_one(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,,unnamed_2\n1,2,3\n")
    with pytest.raises(DuplicateColumns, match="unnamed_2"):
        table_of(tmp_path / "x.csv")


@pytest.mark.parametrize("before", [0, (4 << 20) - 9, (4 << 20) - 5, 4 << 20])
def test_a_wrong_byte_is_found_at_its_place_across_blocks(tmp_path: Path, before: int) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes("€uro\n".encode() + b"a" * before + b"\xe9\n")
    with pytest.raises(WrongEncoding) as caught:
        check_text(file, on_bytes=lambda count: None)
    assert caught.value.facts["line"] == 2
    assert caught.value.facts["position"] == len("€uro\n".encode()) + before + 1


def test_a_character_cut_by_the_end_of_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(b"a,b\n1,\xe2\x82")
    with pytest.raises(WrongEncoding, match="line 2"):
        check_text(file, on_bytes=lambda count: None)
