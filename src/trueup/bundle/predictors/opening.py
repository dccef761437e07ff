"""Which kinds of stage can a predictor be made of, and how does one open from its document and files?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.onnx import open_onnx
from trueup.bundle.predictors.predictor import Opener, Predictor, Stage, TakeColumns, open_predictor
from trueup.bundle.predictors.steps import open_program
from trueup.bundle.predictors.trees import open_lightgbm
from trueup.bundle.predictors.xgboost_trees import open_xgboost


def _open_take(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> Stage:
    return TakeColumns(stage["places"])


OPENERS: Mapping[str, Opener] = {
    "take": _open_take,
    "onnx": open_onnx,
    "lightgbm": open_lightgbm,
    "xgboost": open_xgboost,
}
"""Every kind of stage that needs neither a pickle nor the model's own code."""


def open_compiled(
    document: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    features: Sequence[FeatureSpec],
    more: Mapping[str, Opener] | None = None,
) -> Predictor:
    """Return the predictor that a plan and its files describe.

    Parameters
    ----------
    document : mapping
        From `predictor.parse_plan`.
    files : mapping
        Content by file name.
    features : sequence of FeatureSpec
        The bundle's schema.
    more : mapping, optional
        Kinds of stage that only the process with the model can open.

    Raises
    ------
    BadManifest
        When a stage cannot be opened.
    LibraryMissing
        When this machine lacks the library that a stage is computed with.
    """
    return open_predictor(document, files, features=features, openers=all_openers(more))


def all_openers(more: Mapping[str, Opener] | None = None) -> Mapping[str, Opener]:
    """Return what opens each kind of stage, programs that call others among them."""
    openers: dict[str, Opener] = {**OPENERS, **(more or {})}
    openers["program"] = lambda stage, files: open_program(stage, files, openers=openers)
    return openers
