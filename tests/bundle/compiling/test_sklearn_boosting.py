"""Gradient boosting keeps its categories, its link and its start; the traps of known converters do not catch it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.tree import DecisionTreeClassifier
from tests.bundle.compiling.tree_models import FITTED_ROWS, answers, cases, edge_rows, opened, outcomes

from trueup.bundle.compiling.parts import Column, NotCompiled
from trueup.bundle.compiling.trees import compile_trees

NAN = math.nan


def numbers_and_codes(count: int, *, codes: list[float]) -> Any:
    """Return rows of two numbers around one column of codes, which decides together with the first number."""
    rng = np.random.default_rng(5)
    rows = np.column_stack([rng.normal(size=count), rng.choice(codes, count), rng.normal(size=count)])
    good = np.isin(rows[:, 1], codes[::2])
    return rows, (good ^ (rows[:, 0] > 0.3)).astype(int)


def columns(count: int) -> tuple[Column, ...]:
    return tuple(Column(f"n{place}") for place in range(count))


@pytest.mark.parametrize("strange", [NAN, -1.0, -0.5, 0.5, 3.5, 254.0, 255.0, 256.0, 999.0, 1e10, 1e300])
def test_an_unknown_fractional_or_negative_code_counts_as_missing(strange: float) -> None:
    rows, outcome = numbers_and_codes(FITTED_ROWS, codes=[0.0, 1.0, 2.0, 3.0, 7.0])
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features=[1]).fit(rows, outcome)
    asked = rows.copy()
    asked[:, 1] = strange
    missing = rows.copy()
    missing[:, 1] = NAN
    stage = opened(model, columns(3))
    np.testing.assert_array_equal(stage.many(asked), answers(model, missing))
    np.testing.assert_array_equal(stage.many(asked), answers(model, asked))


def test_codes_that_are_no_small_whole_numbers_are_still_categories() -> None:
    rows, outcome = numbers_and_codes(FITTED_ROWS, codes=[-3.0, 0.25, 10.5, 1e12, NAN])
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features=[1]).fit(rows, outcome)
    np.testing.assert_array_equal(opened(model, columns(3)).many(rows), answers(model, rows))


def test_categorical_columns_keep_their_place_though_the_model_puts_them_first() -> None:
    rows, outcome = numbers_and_codes(FITTED_ROWS, codes=[0.0, 1.0, 2.0, 3.0])
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features=[False, True, False])
    model.fit(rows, outcome)
    swapped = rows[:, [1, 0, 2]]  # what a converter with the wrong order would read
    expected = answers(model, rows)
    assert np.abs(answers(model, swapped) - expected).max() > 0.5
    np.testing.assert_array_equal(opened(model, columns(3)).many(rows), expected)


def test_categories_by_name_in_a_frame_are_compiled() -> None:
    made = cases(FITTED_ROWS, numbers=3, sizes=(5, 40))
    names = [column.name for column in made.columns if column.categories]
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features=names)
    model.fit(made.frame(), outcomes(made.rows))
    np.testing.assert_array_equal(opened(model, made.columns).many(made.rows), answers(model, made.frame()))


def test_a_schema_with_more_categories_in_another_order_gives_the_same_answers() -> None:
    made = cases(FITTED_ROWS, numbers=2, sizes=(4,))
    model = HistGradientBoostingClassifier(max_iter=10).fit(made.frame(), outcomes(made.rows))
    wider = (*made.columns[:2], Column("c0", ("new", "k3", "k1", "k0", "k2")))
    rows = made.rows.copy()
    rows[:, 2] = [NAN if math.isnan(code) else [3.0, 2.0, 4.0, 1.0][int(code)] for code in made.rows[:, 2]]
    stage = opened(model, wider)
    np.testing.assert_array_equal(stage.many(rows), answers(model, made.frame()))
    rows[:, 2], unknown = 0.0, made.rows.copy()
    unknown[:, 2] = NAN
    np.testing.assert_array_equal(stage.many(rows), answers(model, made.frame(unknown)))


@pytest.mark.parametrize("value", [0.9999999999999999, 1.0000000000000002, 1 - 2**-53])
def test_a_number_whose_low_word_is_all_ones_is_not_missing(value: float) -> None:
    rows = np.array([[0.0], [value], [2.0], [NAN]] * 30)
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=1).fit(rows, [1.0, 2.0, 3.0, 9.0] * 30)
    stage = opened(model, columns(1))
    assert stage.one(np.array([value]))[0] == model.predict([[value]])[0] != model.predict([[NAN]])[0]


def test_a_tiny_number_stays_on_its_side_of_zero() -> None:
    rows = np.array([[-1.0], [1.0]] * 40)
    model = HistGradientBoostingRegressor(max_iter=1, learning_rate=1, min_samples_leaf=1).fit(rows, [0.0, 8.0] * 40)
    stage = opened(model, columns(1))
    tiny = np.array([[-1e-36], [-0.0], [0.0], [5e-324], [1e-36], [1e-35], [1.1e-35]])
    assert stage.many(tiny)[:, 0].tolist() == [0.0, 0.0, 0.0, 8.0, 8.0, 8.0, 8.0]
    assert stage.many(tiny)[:, 0].tolist() == model.predict(tiny).tolist()


def test_a_split_closer_to_zero_than_lightgbm_tells_is_refused() -> None:
    rows = np.array([[0.0], [1e-40]] * 40)
    model = HistGradientBoostingRegressor(max_iter=1, min_samples_leaf=1).fit(rows, [0.0, 8.0] * 40)
    kept = compile_trees(model, columns(1))
    assert isinstance(kept, NotCompiled)
    assert "cannot tell from zero" in kept.reason


@pytest.mark.parametrize(
    "model",
    [
        *(HistGradientBoostingRegressor(max_iter=5, loss=loss) for loss in ("squared_error", "gamma")),
        HistGradientBoostingRegressor(max_iter=5, loss="quantile", quantile=0.3),
        HistGradientBoostingClassifier(max_iter=20, early_stopping=True),
        GradientBoostingRegressor(n_estimators=5, loss="quantile"),
        GradientBoostingRegressor(n_estimators=5, init="zero"),
        GradientBoostingClassifier(n_estimators=5, subsample=0.5),
    ],
    ids=repr,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_loss_keeps_its_link_and_its_start(model: Any, classes: int) -> None:
    made = cases(FITTED_ROWS, numbers=6, sizes=())
    rows = np.nan_to_num(made.rows)
    model.fit(rows, outcomes(rows, classes=classes) + 1)
    rows = edge_rows(rows, numbers=6)
    stage = opened(model, made.columns)
    np.testing.assert_allclose(stage.many(rows), answers(model, rows), rtol=1e-14, atol=1e-15, equal_nan=True)


def test_a_starting_model_of_ones_own_is_named_as_the_reason() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    model = GradientBoostingClassifier(n_estimators=2, init=DecisionTreeClassifier(max_depth=1))
    kept = compile_trees(model.fit(rows, rows[:, 0] > 0), columns(2))
    assert kept == NotCompiled(
        "GradientBoostingClassifier", "it starts from a model of its own, DecisionTreeClassifier"
    )


def test_categories_taken_as_numbers_are_a_reason_to_stay() -> None:
    made = cases(FITTED_ROWS, numbers=2, sizes=(4,))
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=None)
    kept = compile_trees(model.fit(made.rows, outcomes(made.rows)), made.columns)
    assert kept == NotCompiled(
        "HistGradientBoostingClassifier", '"c0" holds categories, which it was told to take as numbers'
    )
