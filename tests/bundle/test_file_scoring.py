"""Rows of a file are answered in order, whatever the format, and a bad file writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest

from trueup.bundle.errors import FeatureMissing, RowBreaksSchema
from trueup.bundle.file_scoring import Answered, CannotScore, score_file
from trueup.bundle.loading import LoadedBundle, open_bundle
from trueup.bundle.package import BundleRef

ROWS: list[dict[str, Any]] = [
    {"id": 7, "amount": 0.5, "broker": "a"},
    {"id": 8, "amount": 20.0, "broker": "zzz"},
    {"id": 9, "amount": None, "broker": None},
]
SCORES = [0.5, 0.5, 0.5]
"""By hand, from the fixture's pipeline: 0.25 for the known broker and half of 0.5; 0.5; 0.5."""


@pytest.fixture(scope="module")
def loaded(bundle: BundleRef, trusted: list[Path]) -> Iterator[LoadedBundle]:
    """Return the bundle of the tests, open."""
    with open_bundle(bundle.path, trusted_keys=trusted) as opened:
        yield opened


def write(rows: list[dict[str, Any]], path: Path) -> Path:
    """Write rows in the format of a file's name."""
    if path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    elif path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


def read(path: Path) -> list[tuple[int, float]]:
    """Return id and score of each answer."""
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    elif path.suffix == ".csv":
        rows = pyarrow.csv.read_csv(path).to_pylist()
    else:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    assert all(set(row) == {"id", "score"} for row in rows)
    return [(int(row["id"]), row["score"]) for row in rows]


@pytest.mark.parametrize("into", ["out.jsonl", "out.csv", "out.parquet"])
@pytest.mark.parametrize("source", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_every_format_gives_the_same_answers(loaded: LoadedBundle, tmp_path: Path, source: str, into: str) -> None:
    assert score_file(loaded, write(ROWS, tmp_path / source), into=tmp_path / into) == Answered(3)

    assert read(tmp_path / into) == [(row["id"], score) for row, score in zip(ROWS, SCORES, strict=True)]


def test_more_rows_than_a_batch_keep_their_order(
    loaded: LoadedBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.bundle.file_scoring.BATCH_ROWS", 4)
    rows: list[dict[str, Any]] = [{"id": i, "amount": 0.0, "broker": "a"} for i in range(11)]

    for source in ("rows.jsonl", "rows.parquet"):
        assert score_file(loaded, write(rows, tmp_path / source), into=tmp_path / "out.jsonl") == Answered(11)
        assert read(tmp_path / "out.jsonl") == [(i, 0.25) for i in range(11)]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("rows.jsonl", b"not json\n", RowBreaksSchema),
        ("rows.jsonl", b'{"amount": NaN, "broker": "a"}\n', RowBreaksSchema),
        ("rows.jsonl", b'{"amount": 1}\n', RowBreaksSchema),
        ("rows.jsonl", b"\n", CannotScore),
        ("rows.csv", b"amount,broker\nmuch,a\n", RowBreaksSchema),
        ("rows.csv", b"", CannotScore),
        ("rows.csv", b"amount,broker,broker\n1,a,b\n", CannotScore),
        ("rows.csv", b"amount,broker,score\n1,a,0.3\n", CannotScore),
        ("rows.jsonl", b'{"amount": 1, "broker": "a", "score": 0.3}\n', CannotScore),
        ("rows.csv", b"id,broker\n1,a\n", FeatureMissing),
        ("rows.parquet", b"PAR1", CannotScore),
        ("rows.txt", b"", CannotScore),
    ],
)
def test_what_cannot_be_read_is_refused_and_writes_nothing(
    loaded: LoadedBundle, tmp_path: Path, name: str, content: bytes, error: type[Exception]
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "out.csv").write_text("what was there")

    with pytest.raises(error):
        score_file(loaded, tmp_path / name, into=tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, "out.csv"})


def test_the_rows_are_never_written_over_by_their_answers(loaded: LoadedBundle, tmp_path: Path) -> None:
    source = write(ROWS, tmp_path / "rows.csv")
    before = source.read_bytes()
    (tmp_path / "link.csv").symlink_to(source)

    for into in (source, tmp_path / "link.csv"):
        with pytest.raises(CannotScore, match="name another file"):
            score_file(loaded, source, into=into)

    assert source.read_bytes() == before


MIXED: list[dict[str, Any]] = [
    {"amount": 0.0, "broker": "a", "id": 7},
    {"amount": 0.0, "broker": "a", "id": "x-8", "note": "late", "big": 2**70},
    {"amount": 0.0, "broker": "a", "tags": ["a", "b"]},
]


def test_rows_of_json_lines_keep_what_each_of_them_has(loaded: LoadedBundle, tmp_path: Path) -> None:
    score_file(loaded, write(MIXED, tmp_path / "rows.jsonl"), into=tmp_path / "out.jsonl")

    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert told == [
        {"id": 7, "score": 0.25},
        {"id": "x-8", "note": "late", "big": 2**70, "score": 0.25},
        {"tags": ["a", "b"], "score": 0.25},
    ]


@pytest.mark.parametrize("into", ["out.csv", "out.parquet"])
def test_a_table_has_every_key_that_any_row_has(loaded: LoadedBundle, tmp_path: Path, into: str) -> None:
    score_file(loaded, write(MIXED, tmp_path / "rows.jsonl"), into=tmp_path / into)

    reader = pyarrow.csv.read_csv if into.endswith("csv") else pyarrow.parquet.read_table
    table = reader(tmp_path / into)
    assert table.column_names == ["id", "note", "big", "tags", "score"]
    assert table.column("id").to_pylist()[:2] == ["7", "x-8"]
    assert table.column("score").to_pylist() == [0.25] * 3


def test_a_text_beside_the_features_of_a_csv_is_the_text_it_is(loaded: LoadedBundle, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,amount,broker\nNA,0.0,a\n,NA,\n")

    score_file(loaded, tmp_path / "rows.csv", into=tmp_path / "out.jsonl")

    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in told] == ["NA", ""]
    assert [row["score"] for row in told] == [0.25, 0.5]


def test_lists_in_a_column_are_no_csv(loaded: LoadedBundle, tmp_path: Path) -> None:
    rows = [{"id": [1, 2], "amount": 0.0, "broker": "a"}]

    with pytest.raises(CannotScore, match="cannot be written as csv"):
        score_file(loaded, write(rows, tmp_path / "rows.parquet"), into=tmp_path / "out.csv")

    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("source", ["rows.jsonl", "rows.csv"])
def test_a_row_that_cannot_be_read_has_no_score_and_is_named(loaded: LoadedBundle, tmp_path: Path, source: str) -> None:
    lines = {
        "rows.jsonl": '{"id": 1, "amount": 0.5, "broker": "a"}\n\n{"id": 2, "amount": "secret", "broker": "a"}\n'
        '{"id": 3, "broker": "a"}\n{"id": 4, "amount": 0.5, "broker": "a"}\n',
        "rows.csv": "id,amount,broker\n1,0.5,a\n2,secret,a\n3,1.2.3,a\n4, 0.5 ,a\n",
    }
    (tmp_path / source).write_text(lines[source])

    answered = score_file(loaded, tmp_path / source, into=tmp_path / "out.jsonl")

    assert (answered.rows, answered.unread) == (4, 2)
    assert answered.first_unread.startswith('line 3: "amount" must be a number or')
    assert "secret" not in answered.first_unread
    assert read(tmp_path / "out.jsonl") == [(1, 0.5), (2, None), (3, None), (4, 0.5)]


@pytest.mark.parametrize("source", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_a_row_that_the_original_model_refuses_has_no_score_in_any_format(
    fast_bundle: BundleRef, trusted: list[Path], tmp_path: Path, source: str
) -> None:
    rows: list[dict[str, Any]] = [{"id": i, "amount": 1.0, "age": age} for i, age in enumerate((30.0, None, 40.0))]

    with open_bundle(fast_bundle.path, trusted_keys=trusted, original=True) as opened:
        answered = score_file(opened, write(rows, tmp_path / source), into=tmp_path / "out.jsonl")

    assert answered == Answered(3)
    assert [score is None for _, score in read(tmp_path / "out.jsonl")] == [False, True, False]


@pytest.mark.parametrize("into", ["none/out.csv", "folder.csv"])
def test_a_file_that_is_not_there_or_cannot_be_written_is_bad_input(
    loaded: LoadedBundle, tmp_path: Path, into: str
) -> None:
    (tmp_path / "folder.csv").mkdir()

    with pytest.raises(CannotScore, match="there is no file of rows"):
        score_file(loaded, tmp_path / "rows.csv", into=tmp_path / "out.csv")
    with pytest.raises(CannotScore, match="is no file that can be written"):
        score_file(loaded, write(ROWS, tmp_path / "rows.csv"), into=tmp_path / into)
