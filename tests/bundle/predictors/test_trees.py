"""Trees answer one row and many with the same bits, from any thread, and refuse what does not fit."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from trueup.bundle.compiling.lightgbm_text import Ensemble, model_text
from trueup.bundle.compiling.tree_nodes import LEAF, Nodes
from trueup.bundle.errors import BadManifest
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.recoding import Recoding
from trueup.bundle.predictors.trees import LightgbmTrees


def step(at: float, *, left: float, right: float, feature: int = 0) -> Nodes:
    """Return a tree of one split: `left` where the number is at most `at` or missing."""
    return Nodes(
        left=np.array([1, LEAF, LEAF]),
        right=np.array([2, LEAF, LEAF]),
        feature=np.array([feature, 0, 0]),
        threshold=np.array([at, 0.0, 0.0]),
        missing_left=np.array([True, False, False]),
        value=np.array([0.0, left, right]),
        weight=np.ones(3),
    )


def staircase(steps: int) -> LightgbmTrees:
    """Return trees whose sum counts how many of 1, 2, ... lie below number 0, plus 0.1 for each."""
    trees = [step(float(at), left=0.0, right=1.1) for at in range(1, steps + 1)]
    return LightgbmTrees(model_text(Ensemble(trees, inputs=2)), inputs=2, outputs=1)


def test_an_answer_is_the_sum_of_leaves() -> None:
    stage = staircase(10)
    assert stage.one(np.array([3.5, 0.0])).tolist() == pytest.approx([3.3])
    assert stage.many(np.array([[3.5, 0.0], [0.0, 9.0], [np.nan, 0.0]]))[:, 0].tolist() == pytest.approx(
        [3.3, 0.0, 0.0]
    )


def test_asking_again_starts_from_zero_and_keeps_earlier_answers() -> None:
    stage = staircase(10)
    first = stage.one(np.array([3.5, 0.0]))
    second = stage.one(np.array([9.5, 0.0]))
    again = stage.one(np.array([3.5, 0.0]))
    assert first.tobytes() == again.tobytes() != second.tobytes()


def test_the_callers_row_is_not_changed() -> None:
    text = model_text(Ensemble([step(0.0, left=1.0, right=2.0)], inputs=1))
    stage = LightgbmTrees(text, inputs=1, outputs=1, recoding=Recoding(near_zero=[0]))
    row, rows = np.array([1e-40]), np.array([[1e-40]])
    assert (stage.one(row)[0], stage.many(rows)[0, 0]) == (2.0, 2.0)
    assert (row[0], rows[0, 0]) == (1e-40, 1e-40)


def test_rows_may_lie_in_memory_in_any_way() -> None:
    stage = staircase(10)
    matrix = np.asfortranarray(np.random.default_rng(0).random((50, 2)) * 10)
    expected = stage.many(np.ascontiguousarray(matrix))
    assert np.array_equal(stage.many(matrix), expected)
    assert np.array_equal([stage.one(row) for row in matrix], expected)
    assert np.array_equal(stage.many(matrix[::-1]), expected[::-1])


def test_eight_threads_at_once_get_the_answers_of_one() -> None:
    stage = staircase(40)
    rows = np.random.default_rng(1).random((2_000, 2)) * 40
    expected = stage.many(rows)
    found: dict[int, bool] = {}

    def ask(number: int) -> None:
        order = np.random.default_rng(number).permutation(len(rows))
        found[number] = all(stage.one(rows[place]) == expected[place] for place in order)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(8), True)


def test_a_stage_nobody_holds_is_freed_with_what_its_threads_prepared() -> None:
    stage = staircase(3)
    stage.one(np.array([1.0, 1.0]))
    thread = threading.Thread(target=stage.one, args=(np.array([1.0, 1.0]),))
    thread.start()
    thread.join()
    trees = weakref.ref(stage._trees)
    del stage, thread
    gc.collect()
    assert trees() is None


@pytest.mark.parametrize("row", [np.zeros(1), np.zeros(3), np.zeros((1, 2)), np.zeros(())])
def test_a_row_of_another_shape_is_refused(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with pytest.raises(ValueError, match="a row of 2 numbers was expected"):
        staircase(1).one(row)


def test_rows_of_another_width_are_refused_and_no_rows_are_no_answers() -> None:
    with pytest.raises(ValueError, match="rows of 2 numbers were expected"):
        staircase(1).many(np.zeros((4, 3)))
    assert staircase(1).many(np.zeros((0, 2))).shape == (0, 1)


@pytest.mark.parametrize("text", [b"", b"tree\nversion=v4\n", b"\x00\xff", b"{}"])
def test_text_that_is_no_model_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="LightGBM refuses the trees"):
        LightgbmTrees(text, inputs=2, outputs=1)


def test_a_plan_that_does_not_fit_its_trees_is_refused() -> None:
    text = model_text(Ensemble([step(0.0, left=1.0, right=2.0)], inputs=1))
    features = (FeatureSpec("amount", "number"),)
    stage = {"kind": "lightgbm", "file": "trees.txt", "inputs": 1, "outputs": 1}
    plan = {"format": 1, "outputs": 1, "stages": [stage]}
    assert open_compiled(plan, {"trees.txt": text}, features=features).score_request(b'{"amount": 5}') == (2.0,)
    for wrong in ({"inputs": 2}, {"outputs": 3}, {"file": "other.txt"}, {"recoding": {"near_zero": [1]}}):
        broken = {"format": 1, "outputs": 1, "stages": [stage | wrong]}
        with pytest.raises(BadManifest, match="cannot be opened"):
            open_compiled(broken, {"trees.txt": text}, features=features)
