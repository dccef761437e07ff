"""Tests of `trueup.data.pricing`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.data.duck import connect
from trueup.data.history import History
from trueup.data.pricing import CasePricer

ROWS = 250_003
"""More than two of the pieces in which conditions are evaluated, the last one short."""


@contextlib.contextmanager
def pricer_of(folder: Path, amounts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Iterator[CasePricer]:
    pq.write_table(pa.table({"amount": amounts}), folder / "table.parquet", row_group_size=60_000)
    zeros = np.zeros(len(amounts), dtype=np.int64)
    history = History(
        folder=folder,
        table_version="cases@1",
        rows=len(amounts),
        columns=(),
        classes=("no", "yes"),
        event_time=zeros,
        known_at=zeros,
        final_at=zeros,
        outcome=np.zeros(len(amounts)),
        payoffs=None,
        baseline=None,
        unit_hash=zeros.astype(np.uint64),
        data_end=1,
    )
    with contextlib.closing(connect(temp_directory=folder / "spill")) as connection:
        yield CasePricer(history, connection)


@pytest.mark.parametrize("rows", [1, 100_000, ROWS])
def test_a_condition_on_the_case_is_told_for_every_case_however_many(tmp_path: Path, rows: int) -> None:
    amounts = np.arange(rows, dtype=np.float64)
    with pricer_of(tmp_path, amounts) as pricer:
        held = pricer.truth_table("outcome AND NOT acted AND amount % 7 > 3")
    large = amounts % 7 > 3
    assert held.shape == (rows, 4)
    assert np.array_equal(held[:, 2], large)
    assert not held[:, [0, 1, 3]].any()


def test_a_condition_that_does_not_depend_on_the_case_has_one_row(tmp_path: Path) -> None:
    with pricer_of(tmp_path, np.zeros(5)) as pricer:
        assert pricer.truth_table("acted AND NOT outcome").tolist() == [[False, True, False, False]]


def test_a_condition_on_a_missing_value_does_not_hold(tmp_path: Path) -> None:
    with pricer_of(tmp_path, np.array([np.nan, 9.0])) as pricer:
        assert pricer.truth_table("acted AND amount > 3").tolist() == [[False] * 4, [True, True, False, False]]


def test_a_condition_over_no_case_gives_an_empty_table(tmp_path: Path) -> None:
    with pricer_of(tmp_path, np.zeros(0)) as pricer:
        assert pricer.truth_table("acted AND amount > 3").shape == (0, 4)
