"""A whole trained model as a predictor's document: guided training's rungs, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trueup.build.calibration import fit_calibration
from trueup.build.recipe import Recipe, Task
from trueup.build.rungs import estimator_for
from trueup.build.shipping import CalibratedEstimator
from trueup.bundle.compiling.model import compile_model
from trueup.bundle.features import FeatureSpec


def rung(kind: str, task: Task, **params: Any) -> Any:
    return estimator_for(Recipe(kind=kind, task=task, features=(), params=tuple(params.items())))


@pytest.mark.parametrize(
    ("kind", "task", "params"),
    [
        ("constant", "binary", {}),
        ("constant", "multiclass", {}),
        ("constant", "regression", {"quantile": 0.8}),
        ("linear", "binary", {}),
        ("linear", "multiclass", {}),
        ("linear", "regression", {}),
        ("linear", "regression", {"quantile": 0.8}),
    ],
)
def test_a_rung_of_guided_training_answers_as_its_original(
    kind: str, task: Task, params: dict[str, Any], training: Any, outcome: Any, compare: Any
) -> None:
    model = rung(kind, task, **params).fit(training.frame, outcome(task))

    compared = compare(model, task=task)

    assert compared.largest_difference <= 1e-12
    assert compared.same_refusals
    assert compared.same_bits_one_by_one


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_guided_calibration_answers_as_its_original(
    method: str, task: Task, training: Any, outcome: Callable[[str], Any], compare: Any
) -> None:
    model = rung("linear", task).fit(training.frame, outcome(task))
    calibration = fit_calibration(model.predict_proba(training.frame), outcome(task), weight=None, method=method)
    assert calibration is not None

    compared = compare(CalibratedEstimator(model, calibration, 2 if task == "binary" else 3), task=task)

    assert compared.largest_difference <= 1e-12
    assert compared.same_refusals
    assert compared.same_bits_one_by_one


def test_a_class_that_training_never_met_has_probability_0(training: Any, compare: Any) -> None:
    model = rung("linear", "multiclass").fit(training.frame, np.arange(1500) % 2 * 2.0)

    compared = compare(model, task="multiclass")

    assert set(compared.given[:300, 1].tolist()) == {0.0}
    assert compared.largest_difference <= 1e-12


def test_free_text_is_named_as_what_keeps_a_model_slow() -> None:
    compiled = compile_model(object(), [FeatureSpec("remarks", "text")], task="binary", n_classes=2)

    assert compiled.document is None
    assert 'it takes "remarks", free text' in compiled.slow_parts[0].reason
