"""A category's position becomes what an encoder gave it, and a missing one what it gave that."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.bundle.predictors.programs import answers, program

NAN = math.nan


def test_a_table_gives_the_value_at_the_position_and_its_last_for_a_missing_one() -> None:
    lookup = {"kind": "lookup", "codes": [0], "sizes": [2], "of": [0, 0], "base": [0, 3], "table": [1, 2, 3, 4, 5, 6]}
    assert answers(lookup, [[0], [1], [NAN]], count=2) == [[1, 4], [2, 5], [3, 6]]


def test_one_position_is_hot_and_a_missing_one_is_the_last() -> None:
    hot = {"kind": "hot", "codes": [0], "sizes": [2], "of": [0, 0], "at": [1, 2], "hit": [1, 7], "other": [0, -1]}
    assert answers(hot, [[0], [1], [NAN]], count=2) == [[0, -1], [1, -1], [0, 7]]


def test_a_number_finds_its_place_among_the_known_or_is_missing() -> None:
    given = answers({"kind": "positions", "known": [[-1, 2.5, 7]]}, [[-1], [2.5], [7], [8], [2], [NAN]], count=1)
    assert np.array_equal(given, [[0.0], [1.0], [2.0], [NAN], [NAN], [NAN]], equal_nan=True)


@pytest.mark.parametrize("table", [[1, 2], [1, 2, 3, 4, 5]])
def test_a_table_shorter_than_its_categories_is_refused(table: list[float]) -> None:
    lookup = {"kind": "lookup", "codes": [0], "sizes": [2], "of": [0, 0], "base": [0, 3], "table": table, "to": [1, 3]}
    with pytest.raises(ValueError, match=r"shorter|outside"):
        program(lookup, inputs=1, outputs=(1, 3))
