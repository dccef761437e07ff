"""Numbers are combined, filled, refused and summed, in an order that is always the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.bundle.predictors.programs import answers, program

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("instruction", "row", "expected"),
    [
        ({"kind": "arithmetic", "function": "subtract", "by": [1, 2]}, [5, 5], [4, 3]),
        ({"kind": "arithmetic", "function": "greater", "by": [1, 7]}, [5, 5], [1, 0]),
        ({"kind": "arithmetic", "function": "divide", "by": [0, 4]}, [5, 6], [INF, 1.5]),
        ({"kind": "between", "function": "multiply", "with": [1, 2]}, [5, 3], [15, 9]),
        ({"kind": "choose", "when": [1, 2], "otherwise": [0, 1]}, [5, 3], [5, 3]),
        ({"kind": "function", "function": "square"}, [5, -3], [25, 9]),
        ({"kind": "fill", "missing": None, "by": [7, 8]}, [NAN, 3], [7, 3]),
        ({"kind": "fill", "missing": -1, "by": [7, 8]}, [2, -1], [2, 8]),
        ({"kind": "missing", "missing": None}, [NAN, 3], [1, 0]),
        ({"kind": "rounded"}, [0.1, 1e300], [float(np.float32(0.1)), INF]),
        ({"kind": "linear", "weights": [[2, 3], [0, 1]], "intercepts": [10, 20]}, [1, 5], [27, 25]),
    ],
)
def test_an_instruction_gives_what_its_name_says(instruction: Any, row: Any, expected: Any) -> None:
    assert answers(instruction, [row, row], count=2) == [expected, expected]


@pytest.mark.parametrize(
    ("instruction", "row", "expected"),
    [
        ({"kind": "reduce", "function": "add"}, [1e16, 1.0, 1.0], 1e16),  # each 1 is lost: first to last, not pairwise
        ({"kind": "reduce", "function": "maximum"}, [1, 9, 3], 9),
        ({"kind": "reduce", "function": "maximum"}, [1, NAN, 3], NAN),
        ({"kind": "refuse", "missing_allowed": False}, [1, 2, NAN], NAN),
        ({"kind": "refuse", "missing_allowed": True}, [1, 2, NAN], 0),
        ({"kind": "refuse", "missing_allowed": True}, [1, INF, NAN], NAN),
        ({"kind": "whole", "range": [0, 3]}, [0, 3, 1], 0),
        ({"kind": "whole", "range": [0, 3]}, [0, 3, 1.5], NAN),
        ({"kind": "whole", "range": [0, 3]}, [0, 4, 1], NAN),
        ({"kind": "whole", "range": [0, 3]}, [0, NAN, 1], NAN),
    ],
)
def test_a_row_becomes_one_number(instruction: Any, row: Any, expected: float) -> None:
    given = answers(instruction, [row, row], count=1)
    assert np.array_equal(given, [[expected], [expected]], equal_nan=True)


def test_numbers_are_taken_from_anywhere_and_constants_stay() -> None:
    stage = program(
        {"kind": "take", "places": [2, 0], "to": [3, 5]},
        {"kind": "constant", "values": [9, None], "to": [5, 7]},
        inputs=3,
        outputs=(3, 7),
    )
    expected = [[6, 4, 9, NAN], [3, 1, 9, NAN]]
    assert np.array_equal(stage.many(np.array([[4.0, 5, 6], [1, 2, 3]])), expected, equal_nan=True)
    assert np.array_equal(stage.one(np.array([4.0, 5, 6])), expected[0], equal_nan=True)


@pytest.mark.parametrize(
    "instruction",
    [
        {"kind": "arithmetic", "function": "add", "by": [1]},
        {"kind": "linear", "weights": [[1]], "intercepts": [0]},
        {"kind": "take", "places": [0, 9]},
        {"kind": "take", "places": [0]},
    ],
)
def test_constants_and_places_that_do_not_fit_are_refused(instruction: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"length|linear map|outside|another number"):
        program({"from": [0, 2], "to": [2, 4], **instruction}, inputs=2, outputs=(2, 4))
