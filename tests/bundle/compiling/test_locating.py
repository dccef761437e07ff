"""A part of a model is found where it stands, and at its place again in another copy of the model."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trueup.bundle.compiling.locating import find_place, part_at


def test_a_step_is_found_again_in_a_copy_of_its_model() -> None:
    rows = np.arange(12.0).reshape(6, 2)
    inner = ColumnTransformer([("scaled", make_pipeline(StandardScaler()), [0, 1])])
    model = make_pipeline(inner, LogisticRegression()).fit(rows, [0, 1, 0, 1, 0, 1])
    scaler = model.steps[0][1].transformers_[0][1].steps[0][1]

    place = find_place(model, scaler)

    assert place == ("steps", 0, 1, "transformers_", 0, 1, "steps", 0, 1)
    copy = part_at(pickle.loads(pickle.dumps(model)), place)
    assert copy.mean_.tolist() == [5.0, 6.0]


def test_what_is_no_part_of_the_model_has_no_place() -> None:
    assert find_place(make_pipeline(StandardScaler()), StandardScaler()) is None


def test_a_model_that_holds_itself_is_walked_once() -> None:
    model: dict[str, Any] = {}
    model["self"] = model

    assert find_place(model, object()) is None


@pytest.mark.parametrize("place", [["steps", 7], ["nothing"], ["steps", "0"], ["steps", 0, 1, "mean_", "T"]])
def test_a_place_that_the_model_does_not_have_is_refused(place: list[str | int]) -> None:
    with pytest.raises((KeyError, IndexError, TypeError)):
        part_at(make_pipeline(StandardScaler()), place)
