"""Thresholds that spare the rounding to float32, and guards that answer NaN to what the original refuses."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import example, given

from trueup.bundle.compiling.tree_nodes import (
    FLOAT32_OVERFLOW,
    FLOAT32_UNDERFLOW,
    LEAF,
    Nodes,
    Refusals,
    float32_thresholds,
    guarded,
)

sizes = st.floats(-3.4028234663852886e38, 3.4028234663852886e38)


@given(sizes, sizes)
@example(0.5, 0.5)
@example(1.0, 1.0 + 2.0**-24)  # halfway to the next float32: rounds to 1.0, the even one
@example(1.0 + 2.0**-23, 1.0 + 2.0**-23 + 2.0**-24)  # halfway again: rounds up, away from the odd one
@example(3.4028234663852886e38, 3.4028234663852886e38)
def test_comparing_in_float64_equals_rounding_to_float32_first(threshold: float, number: float) -> None:
    (widened,) = float32_thresholds(np.array([threshold]))
    for near in (number, threshold, widened, np.nextafter(widened, np.inf), np.nextafter(widened, -np.inf)):
        with np.errstate(over="ignore", under="ignore"):
            rounded = float(np.float32(near))
        if widened == 0 and abs(near) <= FLOAT32_UNDERFLOW:
            continue  # left to `Recoding`
        assert (near <= widened) == (rounded <= threshold)


def test_the_bounds_of_float32_are_its_own() -> None:
    largest = float(np.finfo(np.float32).max)
    least = float(np.finfo(np.float32).smallest_subnormal)
    assert (largest + 2.0**128) / 2 == FLOAT32_OVERFLOW
    assert least / 2 == FLOAT32_UNDERFLOW
    with np.errstate(over="ignore"):
        assert np.isinf(np.float32(FLOAT32_OVERFLOW))
    assert np.float32(FLOAT32_UNDERFLOW) == 0


def test_an_infinite_threshold_stays_infinite() -> None:
    assert float32_thresholds(np.array([np.inf])).tolist() == [np.inf]


def leaf_of(nodes: Nodes, row: list[float]) -> float:
    """Return the answer of a tree of numbers, followed node by node."""
    node = 0
    while nodes.left[node] != LEAF:
        number = row[int(nodes.feature[node])]
        left = nodes.missing_left[node] if np.isnan(number) else number <= nodes.threshold[node]
        node = int(nodes.left[node] if left else nodes.right[node])
    return float(nodes.value[node])


def stump() -> Nodes:
    """Return a tree that answers 1 where number 1 is at most 0, else (and where it is missing) 2."""
    return Nodes(
        left=np.array([1, LEAF, LEAF]),
        right=np.array([2, LEAF, LEAF]),
        feature=np.array([1, 0, 0]),
        threshold=np.zeros(3),
        missing_left=np.zeros(3, dtype=bool),
        value=np.array([0.0, 1.0, 2.0]),
        weight=np.array([10.0, 4.0, 6.0]),
    )


def test_a_guard_answers_nan_to_large_numbers_and_lets_all_others_pass() -> None:
    tree = guarded(stump(), Refusals(range(2), missing=False, size=100.0))
    assert [leaf_of(tree, row) for row in ([0.0, -5.0], [99.0, 5.0], [np.nan, np.nan])] == [1.0, 2.0, 2.0]
    for row in ([100.0, 0.0], [-100.0, 0.0], [0.0, 1e300], [np.nan, -np.inf]):
        assert np.isnan(leaf_of(tree, row))


def test_a_guard_answers_nan_to_missing_numbers_where_they_are_refused() -> None:
    tree = guarded(stump(), Refusals(range(2), missing=True, size=100.0))
    assert leaf_of(tree, [0.0, -5.0]) == 1.0
    assert all(np.isnan(leaf_of(tree, row)) for row in ([np.nan, 0.0], [0.0, np.nan]))
