"""A model's columns end at the right class, however its labels are written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from trueup.bundle.class_scores import model_scores


@dataclass
class Fixed:
    """Answers the same two columns for every row."""

    classes_: list[object]
    row: list[float] = field(default_factory=lambda: [0.25, 0.75])

    def predict_proba(self, frame: list[int]) -> list[list[float]]:
        return [self.row] * len(frame)


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], [False, True], ["no", "yes"], [1, 2], [-1, 1]], ids=str)
def test_the_second_of_two_labels_is_the_positive_class_however_it_is_written(labels: list[object]) -> None:
    assert model_scores(Fixed(labels), [1, 2], task="binary", n_classes=2).tolist() == [[0.75], [0.75]]


def test_a_class_that_training_never_met_gets_no_probability() -> None:
    given = model_scores(Fixed([0, 2]), [1], task="multiclass", n_classes=3)

    assert given.tolist() == [[0.25, 0.0, 0.75]]


def test_a_model_that_met_the_negative_class_alone_gives_zero() -> None:
    assert model_scores(Fixed([0], [1.0]), [1], task="binary", n_classes=2).tolist() == [[0.0]]


def test_regression_gives_the_predicted_number() -> None:
    class Doubles:
        def predict(self, frame: list[float]) -> list[float]:
            return [2 * value for value in frame]

    given = model_scores(Doubles(), [1.5, 2.0], task="regression", n_classes=0)

    assert np.array_equal(given, [[3.0], [4.0]])
