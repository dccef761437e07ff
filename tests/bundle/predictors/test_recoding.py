"""Codes and tiny numbers are rewritten the same way in one row and in many."""

from __future__ import annotations

import json
import math
from typing import cast

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from trueup.bundle.predictors.recoding import Recoding, open_recoding, recoding_document

NAN = math.nan
numbers = st.floats(allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0, 2.5, 5e-324, -1e-36, 1e-35, 2.0**-150])


def one(recoding: Recoding, row: list[float]) -> list[float]:
    made = np.array(row)
    recoding.one(cast("memoryview[float]", made.data))
    return cast("list[float]", made.tolist())


def test_a_known_code_is_exchanged_and_any_other_is_missing() -> None:
    recoding = Recoding([(1, (0.0, 2.5, -3.0), (2.0, 0.0, 1.0))])
    found = [one(recoding, [9.0, code])[1] for code in (0.0, -0.0, 2.5, -3.0, 2.4999999999999996, 1.0, NAN)]
    np.testing.assert_array_equal(found, [2.0, 2.0, 0.0, 1.0, NAN, NAN, NAN])
    assert one(recoding, [9.0, 0.0])[0] == 9.0


def test_a_tiny_number_is_moved_away_from_zero_with_its_sign() -> None:
    recoding = Recoding(near_zero=[0])
    found = [one(recoding, [number])[0] for number in (5e-324, -1e-36, 1e-35, 2e-35, -1.0, 0.0, -0.0)]
    assert found == [2e-35, -2e-35, 2e-35, 2e-35, -1.0, 0.0, 0.0]
    assert math.isnan(one(recoding, [NAN])[0])


def test_what_the_original_rounds_to_zero_becomes_zero() -> None:
    recoding = Recoding(near_zero=[0], zero_up_to=2.0**-150)
    assert [one(recoding, [number])[0] for number in (2.0**-150, 2.0**-149, -(2.0**-151))] == [0.0, 2e-35, 0.0]


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=30))
def test_one_row_and_many_rows_get_the_same(rows: list[tuple[float, float, float]]) -> None:
    document = recoding_document([(0, (0.0, 1.0, 2.5), (1.0, 2.0, 0.0))], near_zero=[2], zero_up_to=2.0**-150)
    recoding = open_recoding(json.loads(json.dumps(document)), width=3)
    many = np.array(rows)
    recoding.many(many)
    np.testing.assert_array_equal(many, [one(recoding, list(row)) for row in rows])


def test_no_known_code_leaves_nothing_but_missing() -> None:
    matrix = np.array([[1.0], [NAN]])
    Recoding([(0, (), ())]).many(matrix)
    assert np.isnan(matrix).all()


def test_nothing_to_rewrite_is_false_and_an_empty_document() -> None:
    assert not Recoding()
    assert recoding_document([], near_zero=[], zero_up_to=0.0) == {}


@pytest.mark.parametrize("document", [{"near_zero": [3]}, {"codes": [[-1, [0.0], [0.0]]]}])
def test_a_column_outside_the_row_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="outside the row"):
        open_recoding(document, width=3)
