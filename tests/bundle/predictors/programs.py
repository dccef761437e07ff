"""A program of one instruction, asked for one row and for many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trueup.bundle.predictors.opening import OPENERS
from trueup.bundle.predictors.steps import Program, open_program


def program(*instructions: dict[str, Any], inputs: int, outputs: tuple[int, int]) -> Program:
    """Return the program of these instructions; its answer is the last span they write."""
    stage = {"inputs": inputs, "width": outputs[1], "instructions": instructions, "outputs": list(outputs)}
    return open_program(stage, {}, openers=OPENERS)


def answers(instruction: dict[str, Any], rows: Sequence[Sequence[float]], *, count: int) -> list[list[float]]:
    """Return what an instruction gives for rows; one row and many must give the same bits."""
    matrix = np.array(rows, dtype=np.float64)
    inputs = matrix.shape[1]
    span = {"from": [0, inputs], "to": [inputs, inputs + count]}
    stage = program({**span, **instruction}, inputs=inputs, outputs=(inputs, inputs + count))
    many = stage.many(matrix)
    one = np.array([stage.one(row) for row in matrix])
    assert many.tobytes() == one.tobytes()
    found: list[list[float]] = many.tolist()
    return found
