"""How does a model that LightGBM grew become a stage? By its own text; only categories may arrive in another order."""

from __future__ import annotations

from typing import Any

from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.compiling.tree_columns import Codes, lightgbm_stage
from trueup.bundle.predictors.recoding import recoding_document
from trueup.bundle.values import category_text


def compile_lightgbm(model: Any, columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    """Return a LightGBM estimator or booster as a stage, up to its best iteration as its ``predict`` does."""
    part, booster = type(model).__name__, getattr(model, "booster_", model)
    codes = _codes(booster.pandas_categorical, columns)
    if isinstance(codes, str):
        return NotCompiled(part, codes)
    if booster.num_feature() != len(columns):
        return NotCompiled(part, f"was fitted on {booster.num_feature()} columns and is given {len(columns)}")
    if stops_early(model):
        return NotCompiled(part, "it was told to stop before its last tree while predicting (pred_early_stop)")
    if getattr(model, "_n_classes", None) and callable(model.objective):
        return NotCompiled(part, "it has an objective of its own, so that its answers are no probabilities")
    outputs = booster.num_model_per_iteration()
    text = booster.model_to_string(num_iteration=booster.best_iteration).encode()
    return lightgbm_stage(
        text,
        inputs=len(columns),
        outputs=outputs,
        recoding=recoding_document(codes, near_zero=(), zero_up_to=0.0),
    )


def stops_early(model: Any) -> bool:
    """Return whether an estimator passes early stopping to its prediction."""
    parameters = model.get_params() if hasattr(model, "get_params") else {}
    return bool(parameters.get("pred_early_stop"))


def _codes(trained: list[list[Any]] | None, columns: tuple[Column, ...]) -> list[Codes] | str:
    arriving = [(place, column) for place, column in enumerate(columns) if column.categories is not None]
    if len(arriving) != len(trained or ()):
        return f"{len(arriving)} columns hold categories, but it was fitted with {len(trained or ())}"
    codes: list[Codes] = []
    for (place, column), categories in zip(arriving, trained or (), strict=True):
        code = {category_text(value): float(number) for number, value in enumerate(categories)}
        if tuple(code) != column.categories:
            known = [(float(at), code[text]) for at, text in enumerate(column.categories or ()) if text in code]
            codes.append((place, tuple(given for given, _ in known), tuple(taken for _, taken in known)))
    return codes
