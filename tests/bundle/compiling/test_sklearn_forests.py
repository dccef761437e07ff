"""Forests and trees round rows to float32, take their mean in order, and keep what they do with missing numbers."""

from __future__ import annotations

import math

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from tests.bundle.compiling.tree_models import FITTED_ROWS, answers, cases, edge_rows, opened, outcomes

from trueup.bundle.compiling.parts import Column, NotCompiled
from trueup.bundle.compiling.trees import compile_trees

ONE = (Column("n0"),)


def test_numbers_next_to_a_threshold_are_rounded_to_float32_first() -> None:
    rows = np.array([[0.1], [0.2]])
    tree = DecisionTreeRegressor().fit(rows, [1.0, 2.0])
    threshold = float(tree.tree_.threshold[0])
    step = float(np.spacing(np.float32(threshold)))
    near = np.array([[threshold + step * part / 64] for part in range(-128, 129)])
    found = opened(tree, ONE).many(near)
    assert sorted(set(found[:, 0].tolist())) == [1.0, 2.0]
    np.testing.assert_array_equal(found[:, 0], tree.predict(near))


def test_a_number_that_rounds_to_zero_is_zero() -> None:
    tree = DecisionTreeRegressor().fit(np.array([[-1.0], [1.0]]), [1.0, 2.0])
    assert tree.tree_.threshold[0] == 0
    tiny = np.array([[-1e-36], [0.0], [2.0**-150], [2.0**-150 * 1.01], [1e-36], [1e-40]])
    found = opened(tree, ONE).many(tiny)
    assert found[:, 0].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    assert found[:, 0].tolist() == tree.predict(tiny).tolist()


def test_missing_numbers_go_where_the_tree_learnt_to_send_them() -> None:
    rows = np.array([[0.0], [1.0], [math.nan], [2.0]] * 10)
    tree = DecisionTreeRegressor().fit(rows, [0.0, 1.0, 7.0, 2.0] * 10)
    assert opened(tree, ONE).many(rows)[:4, 0].tolist() == [0.0, 1.0, 7.0, 2.0]


def test_the_largest_float32_is_taken_and_what_rounds_past_it_refused() -> None:
    tree = DecisionTreeRegressor().fit(np.array([[0.0], [1.0]]), [1.0, 2.0])
    largest = float(np.finfo(np.float32).max)
    past = 3.4028235677973366e38
    rows = np.array([[largest], [math.nextafter(past, 0)], [past], [-past], [-largest], [1e300]])
    expected = [[2.0], [2.0], [math.nan], [math.nan], [1.0], [math.nan]]
    np.testing.assert_array_equal(opened(tree, ONE).many(rows), expected)
    np.testing.assert_array_equal(answers(tree, rows), expected)


def test_many_classes_get_a_number_each_in_their_order() -> None:
    made = cases(FITTED_ROWS, numbers=5, sizes=())
    names = np.array(["red", "amber", "green", "blue"])[outcomes(made.rows, classes=4)]
    forest = RandomForestClassifier(5, random_state=0).fit(made.rows, names)
    assert forest.classes_.tolist() == ["amber", "blue", "green", "red"]
    rows = np.clip(edge_rows(made.rows, numbers=5), -1e38, 1e38)
    np.testing.assert_array_equal(opened(forest, made.columns).many(rows), forest.predict_proba(rows))


def test_categories_that_read_as_numbers_are_taken_as_those() -> None:
    columns = (Column("n0"), Column("grade", ("1", "10", "5")))
    rows = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, math.nan]])  # positions of 1, 10, 5 and missing
    tree = DecisionTreeRegressor().fit([[0.0, 1.0], [0.0, 10.0], [0.0, 5.0], [0.0, math.nan]], [1.0, 3.0, 2.0, 9.0])
    assert opened(tree, columns).many(rows)[:, 0].tolist() == [1.0, 3.0, 2.0, 9.0]
    kept = compile_trees(tree, (Column("n0"), Column("grade", ("a", "b"))))
    assert kept == NotCompiled("DecisionTreeRegressor", '"grade" holds categories, which it takes as numbers only')


def test_a_tree_without_a_split_gives_its_one_number() -> None:
    tree = DecisionTreeRegressor().fit(np.array([[0.0], [1.0]]), [3.0, 3.0])
    assert opened(tree, ONE).many(np.array([[5.0], [math.nan], [1e300]]))[:2, 0].tolist() == [3.0, 3.0]


def test_what_has_no_single_answer_stays_as_it_is() -> None:
    rows = np.array([[0.0], [1.0]])
    two = DecisionTreeRegressor().fit(rows, [[0.0, 1.0], [1.0, 0.0]])
    assert compile_trees(two, ONE) == NotCompiled("DecisionTreeRegressor", "answers several questions at once")
    same = DecisionTreeClassifier().fit(rows, [1, 1])
    assert compile_trees(same, ONE) == NotCompiled("DecisionTreeClassifier", "has seen one class only")
    fitted = DecisionTreeClassifier().fit(rows, [0, 1])
    assert compile_trees(fitted, (*ONE, *ONE)) == NotCompiled(
        "DecisionTreeClassifier", "was fitted on 1 columns and is given 2"
    )
