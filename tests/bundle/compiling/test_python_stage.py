"""A part in Python is handed what the original hands it, refuses rows one by one, and never changes what it reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from trueup.bundle.compiling.python_stage import (
    ColumnType,
    Handing,
    PythonStage,
    columns_document,
    describe,
    numbers_of,
)

AMOUNT, COUNT = ColumnType("amount", "float64"), ColumnType("count", "int64")
BROKER = ColumnType("broker", "category", ("a", "b"))
FILLED = ColumnType("filled", "object", ("a", "b", "none"))
ROWS = np.array([[0.5, 3.0, 1.0, 0.0], [np.nan, 4.0, np.nan, np.nan]])


class Positive:
    """Refuses a batch with a negative number, and overwrites what it was given."""

    def transform(self, rows: Any) -> Any:
        if (rows < 0).any():
            raise ValueError("negative")
        rows *= 2
        return rows


def stage(part: Any, *takes: ColumnType, gives: list[ColumnType], container: str = "array") -> PythonStage:
    document = {
        "method": "transform",
        "takes": columns_document(takes),
        "container": container,
        "gives": columns_document(gives),
    }
    return PythonStage([part], document)


def test_a_frame_has_the_types_and_texts_of_the_original() -> None:
    frame = Handing([AMOUNT, COUNT, BROKER, FILLED], "frame").hand(ROWS)

    assert frame.dtypes.astype(str).tolist()[:3] == ["float64", "int64", "category"]
    assert frame["broker"].tolist()[0] == "b"
    assert frame["broker"].isna().tolist() == [False, True]
    assert frame["broker"].cat.categories.tolist() == ["a", "b"]
    assert frame["filled"].tolist() == ["a", "none"]


def test_an_array_of_texts_holds_nan_where_a_category_is_missing() -> None:
    array = Handing([BROKER, FILLED], "array").hand(ROWS[:, 2:])

    assert array[:, 1].tolist() == ["a", "none"]
    assert array[0, 0] == "b"
    assert np.isnan(array[1, 0])


def test_a_sparse_matrix_holds_the_numbers() -> None:
    matrix = Handing([AMOUNT, AMOUNT], "sparse").hand(np.array([[0.0, 2.0]]))

    assert (matrix.nnz, matrix.toarray().tolist()) == (1, [[0.0, 2.0]])


def test_a_missing_whole_number_is_a_refused_row_not_a_made_up_number() -> None:
    rows = np.array([[7.0], [np.nan]])

    answers = stage(Positive(), COUNT, gives=[ColumnType(None, "int64")]).many(rows)

    assert answers[0].tolist() == [14.0, 0.0]
    assert np.isnan(answers[1]).all()


def test_only_the_rows_that_the_part_refuses_are_refused() -> None:
    rows = np.array([[1.0], [-1.0], [2.0], [3.0], [-4.0]])

    answers = stage(Positive(), AMOUNT, gives=[ColumnType(None, "float64")]).many(rows)

    assert np.isnan(answers[:, 1]).tolist() == [False, True, False, False, True]
    assert answers[[0, 2, 3], 0].tolist() == [2.0, 4.0, 6.0]


def test_a_part_that_overwrites_its_input_changes_nothing_outside() -> None:
    rows = np.array([[1.0], [2.0]])

    stage(Positive(), AMOUNT, gives=[ColumnType(None, "float64")]).many(rows)

    assert rows.tolist() == [[1.0], [2.0]]


def test_no_rows_give_no_answers() -> None:
    assert stage(Positive(), AMOUNT, gives=[ColumnType(None, "float64")]).many(np.empty((0, 1))).shape == (0, 2)


def test_categories_are_read_as_their_positions() -> None:
    frame = pd.DataFrame({"x": [1.5, 2.5], "shade": pd.Categorical(["cold", None], categories=["warm", "cold"])})

    assert describe(frame) == (ColumnType("x", "float64"), ColumnType("shade", "category", ("warm", "cold")))
    assert numbers_of(frame)[0].tolist() == [1.5, 1.0]
    assert np.isnan(numbers_of(frame)[1, 1])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pd.DataFrame({"x": ["a"]}, dtype=object), "a column of type object"),
        (pd.DataFrame({"x": pd.to_datetime(["2024-05-01"])}), "a column of type datetime64"),
        (pd.DataFrame({"x": pd.array([1, None], dtype="Int64")}), "a column of type Int64"),
        (pd.DataFrame({"x": pd.Categorical([1, 2])}), "categories that are no texts"),
        (np.array([1.0, 2.0]), "no table but ndarray"),
        ([[1.0]], "no table but list"),
        (np.array([[1j]]), "a column of type complex128"),
    ],
)
def test_what_no_number_stands_for_is_named(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        describe(given)
