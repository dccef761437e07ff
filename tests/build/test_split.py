from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.build.errors import SplitImpossible
from trueup.build.split import (
    Split,
    compare_splits,
    cut_for_holdout,
    folds_in_time,
    split_at_random,
    split_in_time,
)
from trueup.kernel.periods import NEVER

TIMES = np.array([0, 10, 20, 30, 40], dtype=np.int64)


def test_a_row_trains_only_when_it_was_final_at_the_cut() -> None:
    final_at = np.array([5, 35, 25, 60, NEVER], dtype=np.int64)
    split = split_in_time(TIMES, final_at, cut=30, as_of=100)
    assert split.train.tolist() == [0, 2]
    assert split.holdout.tolist() == [3]


def test_a_split_without_final_rows_is_refused() -> None:
    with pytest.raises(SplitImpossible, match="0 rows train, 2 are held out"):
        split_in_time(TIMES, TIMES + 50, cut=30, as_of=1000)


def test_the_holdout_starts_its_length_before_the_last_final_case() -> None:
    final_at = np.array([1, 11, 21, 31, NEVER], dtype=np.int64)
    assert cut_for_holdout(TIMES, final_at, length=11, as_of=100) == 20
    assert cut_for_holdout(TIMES, final_at, length=None, as_of=100) == 30
    with pytest.raises(SplitImpossible):
        cut_for_holdout(TIMES, final_at, length=None, as_of=0)


def test_folds_go_forward_in_time() -> None:
    times = np.arange(9, dtype=np.int64) * 10
    splits = folds_in_time(times, times + 15, rows=np.arange(9), folds=2)
    # cuts at 30 and 60; rows are final 15 later
    assert [split.train.tolist() for split in splits] == [[0, 1], [0, 1, 2, 3, 4]]
    assert [split.holdout.tolist() for split in splits] == [[3, 4, 5], [6, 7, 8]]


def test_folds_without_anything_final_are_refused() -> None:
    with pytest.raises(SplitImpossible, match="outcomes arrive too late for 9 rows"):
        folds_in_time(np.arange(9), np.arange(9) + 100, rows=np.arange(9), folds=3)


@given(
    cases=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), min_size=8, max_size=60),
    folds=st.integers(1, 4),
)
def test_no_fold_learns_from_its_future(cases: list[tuple[int, int]], folds: int) -> None:
    cases.sort()
    event_time = np.array([event for event, _ in cases], dtype=np.int64)
    final_at = event_time + np.array([delay for _, delay in cases])
    try:
        splits = folds_in_time(event_time, final_at, rows=np.arange(len(cases)), folds=folds)
    except SplitImpossible:
        return
    for split in splits:
        assert final_at[split.train].max() <= event_time[split.holdout].min()
        assert event_time[split.train].max() < event_time[split.holdout].min()


def test_a_random_split_repeats_and_holds_out_the_share_asked_for() -> None:
    rows = np.arange(10, dtype=np.int64) * 3
    split = split_at_random(rows, holdout_share=0.3, seed=5)
    assert len(split.holdout) == 3
    assert sorted([*split.train, *split.holdout]) == rows.tolist()
    assert split_at_random(rows, holdout_share=0.3, seed=5).holdout.tolist() == split.holdout.tolist()


def test_both_splits_use_the_same_rows_and_sizes() -> None:
    seen: list[Split] = []

    def metric(split: Split) -> float:
        seen.append(split)
        return 0.75 if split.cut else 0.88

    in_time = Split(np.array([0, 1, 4]), np.array([6, 7]), 5)
    comparison = compare_splits(in_time, metric, seed=0)
    assert comparison.difference == pytest.approx(0.13)
    assert sorted([*seen[1].train, *seen[1].holdout]) == [0, 1, 4, 6, 7]
    assert len(seen[1].holdout) == 2
