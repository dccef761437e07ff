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
from trueup.bundle.file_scoring import CannotScore, score_file
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
    assert score_file(loaded, write(ROWS, tmp_path / source), into=tmp_path / into) == 3

    assert read(tmp_path / into) == [(row["id"], score) for row, score in zip(ROWS, SCORES, strict=True)]


def test_more_rows_than_a_batch_keep_their_order(
    loaded: LoadedBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.bundle.file_scoring.BATCH_ROWS", 4)
    rows: list[dict[str, Any]] = [{"id": i, "amount": 0.0, "broker": "a"} for i in range(11)]

    for source in ("rows.jsonl", "rows.parquet"):
        assert score_file(loaded, write(rows, tmp_path / source), into=tmp_path / "out.jsonl") == 11
        assert read(tmp_path / "out.jsonl") == [(i, 0.25) for i in range(11)]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("rows.jsonl", b"not json\n", RowBreaksSchema),
        ("rows.jsonl", b'{"amount": NaN, "broker": "a"}\n', RowBreaksSchema),
        ("rows.jsonl", b'{"amount": 1}\n', RowBreaksSchema),
        ("rows.jsonl", b"\n", CannotScore),
        ("rows.csv", b"amount,broker\nmuch,a\n", CannotScore),
        ("rows.csv", b"", CannotScore),
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
