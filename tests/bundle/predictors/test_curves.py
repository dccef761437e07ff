"""Bins, lines and power transforms of one number, beside values from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.bundle.predictors.programs import answers, program

NAN = math.nan


def test_a_number_at_an_edge_is_in_the_bin_above_it() -> None:
    given = answers({"kind": "bins", "edges": [[1, 2]]}, [[0.5], [1], [1.5], [2], [NAN]], count=1)
    assert np.array_equal(given, [[0.0], [1.0], [1.0], [2.0], [NAN]], equal_nan=True)


def test_a_line_goes_through_its_points_and_is_level_outside() -> None:
    line = {"kind": "interpolate", "lines": [[[0, 10], [0, 1]]]}
    assert answers(line, [[-5], [5], [10], [50]], count=1) == [[0], [0.5], [1], [1]]


@pytest.mark.parametrize(
    ("power", "number", "expected"),
    [
        (1.0, 3.0, 3.0),
        (2.0, 3.0, (4.0**2 - 1) / 2),
        (0.0, math.e - 1, 1.0),
        (0.0, -3.0, -(4.0**2 - 1) / 2),
        (2.0, 1 - math.e, -1.0),
    ],
)
def test_yeo_and_johnsons_transform_is_that_of_their_paper(power: float, number: float, expected: float) -> None:
    ((given,),) = answers({"kind": "yeo_johnson", "by": [power]}, [[number]], count=1)
    assert given == pytest.approx(expected, rel=1e-14)


def test_a_share_of_rows_and_its_normal_quantile() -> None:
    uniform = {"kind": "quantile", "normal": False, "quantiles": [[0, 1, 10]], "references": [[0, 0.5, 1]]}
    assert answers(uniform, [[-3], [0.5], [1], [10], [99]], count=1) == [[0], [0.25], [0.5], [1], [1]]
    # 0.8416212335729143: the 80 % quantile of the standard normal distribution, in any table
    ((given,),) = answers({**uniform, "normal": True}, [[6.4]], count=1)
    assert given == pytest.approx(0.8416212335729143, rel=1e-14)


@pytest.mark.parametrize("instruction", [{"kind": "bins", "edges": []}, {"kind": "interpolate", "lines": []}])
def test_a_number_without_its_curve_is_refused(instruction: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="each number needs its"):
        program({"from": [0, 1], "to": [1, 2], **instruction}, inputs=1, outputs=(1, 2))
