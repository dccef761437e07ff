"""XGBoost's library answers from any thread, keeps answers apart, and refuses what does not fit."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from trueup.bundle.predictors.recoding import Recoding
from trueup.bundle.predictors.xgboost_trees import XgboostTrees, open_xgboost

xgboost = pytest.importorskip("xgboost")


def model_bytes() -> bytes:
    """Return a model of one split that gives about 10 up to number 0 of 0.5 and about 20 above."""
    rows = np.array([[0.0, 0.0], [1.0, 0.0]] * 20)
    settings = {"base_score": 0.0, "eta": 1.0, "lambda": 0.0, "max_depth": 1, "nthread": 1, "tree_method": "exact"}
    booster = xgboost.train(settings, xgboost.DMatrix(rows, [10.0, 20.0] * 20), 1)
    return bytes(booster.save_raw("ubj"))


def test_an_answer_is_the_leaf_and_an_earlier_one_stays_as_it_was() -> None:
    stage = XgboostTrees(model_bytes(), inputs=2, outputs=1)
    first = stage.one(np.array([0.0, 0.0]))
    assert stage.one(np.array([1.0, 0.0])).tolist() == [20.0]
    assert first.tolist() == [10.0]
    assert stage.many(np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [[10.0], [20.0]]


def test_rows_are_recoded_in_a_copy() -> None:
    stage = XgboostTrees(model_bytes(), inputs=2, outputs=1, recoding=Recoding([(0, (7.0, 8.0), (0.0, 1.0))]))
    row, rows = np.array([8.0, 0.0]), np.array([[7.0, 0.0]])
    assert (stage.one(row)[0], stage.many(rows)[0, 0]) == (20.0, 10.0)
    assert (row[0], rows[0, 0]) == (8.0, 7.0)


def test_threads_at_once_get_the_answers_of_one() -> None:
    stage = XgboostTrees(model_bytes(), inputs=2, outputs=1)
    rows = np.column_stack([np.random.default_rng(0).random(500), np.zeros(500)])
    expected = np.where(rows[:, 0] < 0.5, 10.0, 20.0)
    found: dict[int, bool] = {}

    def ask(number: int) -> None:
        order = np.random.default_rng(number).permutation(len(rows))
        found[number] = all(stage.one(rows[place])[0] == expected[place] for place in order)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


def test_a_stage_nobody_holds_is_freed() -> None:
    stage = XgboostTrees(model_bytes(), inputs=2, outputs=1)
    stage.one(np.zeros(2))
    model = weakref.ref(stage._model)
    del stage
    gc.collect()
    assert model() is None


@pytest.mark.parametrize("content", [b"", b"{}", b"no model at all"])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="XGBoost refuses the trees"):
        XgboostTrees(content, inputs=2, outputs=1)


def test_a_model_or_a_row_of_another_shape_is_refused() -> None:
    content = model_bytes()
    with pytest.raises(ValueError, match="take 2 numbers, not 3"):
        XgboostTrees(content, inputs=3, outputs=1)
    with pytest.raises(ValueError, match="give 1 numbers for a row, not 2"):
        open_xgboost({"file": "m", "inputs": 2, "outputs": 2}, {"m": content})
    stage = XgboostTrees(content, inputs=2, outputs=1)
    with pytest.raises(ValueError, match="a row of 2 numbers"):
        stage.one(np.zeros(3))
    with pytest.raises(ValueError, match="rows of 2 numbers"):
        stage.many(np.zeros((1, 3)))
    assert stage.many(np.zeros((0, 2))).shape == (0, 1)
