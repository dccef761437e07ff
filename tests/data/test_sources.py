"""Does a source name exactly the files a person means?"""

from __future__ import annotations

from pathlib import Path

import pytest

from trueup.data.errors import SourceMissing, UnsupportedSource
from trueup.data.sources import find_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "notes.md", "c.parquet"):
        (tmp_path / name).write_text("x\n")
    return tmp_path


def test_a_glob_gives_files_sorted_by_name(folder: Path) -> None:
    found = find_files("*.csv", base=folder)
    assert [file.name for file in found.files] == ["a.csv", "b.csv"]
    assert (found.format, found.total_bytes) == ("csv", 4)


def test_a_file_url_and_a_path_are_the_same(folder: Path) -> None:
    by_url = find_files((folder / "a.csv").as_uri())
    assert by_url == find_files("a.csv", base=folder) == find_files(str(folder / "a.csv"))


def test_a_folder_of_two_formats_is_refused(folder: Path) -> None:
    with pytest.raises(UnsupportedSource, match="2 csv, 1 parquet"):
        find_files(str(folder))


def test_a_file_whose_name_holds_glob_marks_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cases [1].csv").write_text("x\n")
    assert find_files("cases [1].csv", base=tmp_path).files == (tmp_path / "cases [1].csv",)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("a.cvs", r'did you mean "a.csv"\?'),
        ("nowhere/a.csv", "there is no file"),
        ("2024-*.csv", "no file matches"),
        ("empty", "has no file that ends in .csv"),
    ],
)
def test_what_is_missing_is_named(folder: Path, source: str, says: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(SourceMissing, match=says):
        find_files(source, base=folder)


@pytest.mark.parametrize("source", ["s3://bucket/x.csv", "https://example.com/x.csv", "notes.md"])
def test_what_we_cannot_read_is_refused(folder: Path, source: str) -> None:
    with pytest.raises(UnsupportedSource):
        find_files(source, base=folder)
