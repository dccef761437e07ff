"""A program answers the same from any thread, for one row and for thousands, and refuses what does not fit."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from tests.bundle.predictors.programs import program

from trueup.bundle.errors import BadManifest
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.steps import Program

LINEAR = {"kind": "linear", "from": [0, 3], "to": [3, 4], "weights": [[1, 10, 100]], "intercepts": [0.5]}


def weighted() -> Program:
    return program(
        LINEAR, {"kind": "function", "from": [3, 4], "to": [4, 5], "function": "exp"}, inputs=3, outputs=(3, 5)
    )


def test_many_rows_get_the_bits_of_one_whatever_their_number() -> None:
    stage = weighted()
    rows = np.random.default_rng(0).normal(size=(2_500, 3))
    expected = np.array([stage.one(row) for row in rows])
    for count in (1, 2, 1_023, 1_024, 1_025, 2_500):
        assert stage.many(rows[:count]).tobytes() == expected[:count].tobytes()
    assert stage.many(np.asfortranarray(rows)).tobytes() == expected.tobytes()
    assert stage.many(rows[:0]).shape == (0, 2)


def test_an_answer_given_stays_as_it_was() -> None:
    stage = weighted()
    first = stage.one(np.array([1.0, 0.0, 0.0]))
    stage.one(np.array([2.0, 0.0, 0.0]))
    assert first[0] == 1.5


def test_threads_at_once_get_the_answers_of_one() -> None:
    stage = weighted()
    rows = np.random.default_rng(1).normal(size=(1_000, 3))
    expected = stage.many(rows)
    found: dict[int, bool] = {}

    def ask(number: int) -> None:
        order = np.random.default_rng(number).permutation(len(rows))
        found[number] = all(np.array_equal(stage.one(rows[place]), expected[place]) for place in order)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(6), True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": 9},
        {"outputs": [3, 9]},
        {"instructions": [{"kind": "unheard of"}]},
        {"instructions": [{**LINEAR, "from": [2, 1]}]},
        {"instructions": [{**LINEAR, "to": [3, 40]}]},
        {"instructions": [{"kind": "call", "from": [0, 3], "to": [3, 4], "stage": {"kind": "python"}}]},
    ],
)
def test_a_program_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    stage = {"kind": "program", "inputs": 3, "width": 5, "instructions": [LINEAR], "outputs": [3, 4], **wrong}
    features = [FeatureSpec(name, "number") for name in "abc"]
    with pytest.raises(BadManifest, match="cannot be opened"):
        open_compiled({"format": 1, "outputs": 1, "stages": [stage]}, {}, features=features)
