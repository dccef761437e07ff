"""How does a model that XGBoost grew become a stage? By its own bytes; only categories may arrive in another order."""

from __future__ import annotations

import math
from typing import Any

from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.compiling.tree_columns import Codes, answer_columns
from trueup.bundle.predictors.recoding import recoding_document
from trueup.bundle.values import category_text
from trueup.kernel.digests import digest_of_bytes


def compile_xgboost(model: Any, columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    """Return an XGBoost estimator or booster as a stage, up to its best iteration as its ``predict`` does."""
    part = type(model).__name__
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if wrong := _cannot(model, booster, columns):
        return NotCompiled(part, wrong)
    codes = _codes(booster, columns)
    if isinstance(codes, str):
        return NotCompiled(part, codes)
    outputs = _outputs(model, booster)
    if hasattr(model, "classes_") and outputs != (1 if len(model.classes_) == 2 else len(model.classes_)):
        return NotCompiled(part, f"it gives {outputs} numbers for {len(model.classes_)} classes")
    content = bytes(booster.save_raw("ubj"))
    name = f"trees-{digest_of_bytes(content)[:12]}.ubj"
    stage: dict[str, Any] = {"kind": "xgboost", "file": name, "inputs": len(columns), "outputs": outputs}
    if rounds := _rounds(model, booster):
        stage["rounds"] = rounds
    if not math.isnan(missing := float(getattr(model, "missing", math.nan))):
        stage["missing"] = missing
    if codes:
        stage["recoding"] = recoding_document(codes, near_zero=(), zero_up_to=0.0)
    return Compiled((stage,), {name: content}, answer_columns(outputs))


def _cannot(model: Any, booster: Any, columns: tuple[Column, ...]) -> str | None:
    if getattr(model, "booster", None) == "gblinear":
        return "it has no trees (gblinear)"
    if getattr(model, "objective", None) == "multi:softmax" and hasattr(model, "classes_"):
        return "its objective multi:softmax answers with a class; with multi:softprob it is compiled"
    if booster.num_features() != len(columns):
        return f"was fitted on {booster.num_features()} columns and is given {len(columns)}"
    return None


def _rounds(model: Any, booster: Any) -> int:
    """Return how many rounds its ``predict`` uses; 0 for all."""
    stopped = booster.attr("best_iteration") if hasattr(model, "get_booster") else None
    return 0 if stopped is None else int(stopped) + 1


def _outputs(model: Any, booster: Any) -> int:
    import numpy as np

    found = booster.inplace_predict(np.zeros((1, booster.num_features())), validate_features=False)
    return int(np.asarray(found).size)


def _codes(booster: Any, columns: tuple[Column, ...]) -> list[Codes] | str:
    trained = _categories(booster)
    codes: list[Codes] = []
    for place, column in enumerate(columns):
        if column.categories is None:
            if trained[place] is not None:
                return f'"{column.name}" holds numbers, but it was fitted on categories there'
            continue
        known = trained[place]
        if known is None:
            return f'"{column.name}" holds categories, but it was fitted on numbers there'
        code = {category_text(value): float(number) for number, value in enumerate(known)}
        if unknown := len(set(column.categories) - set(code)):
            return f'"{column.name}" has {unknown} categories it was not fitted on, which it refuses'
        if tuple(code) != column.categories:
            places = tuple(map(float, range(len(column.categories))))
            codes.append((place, places, tuple(code[text] for text in column.categories)))
    return codes


def _categories(booster: Any) -> list[list[Any] | None]:
    """Return what the model was fitted on: for each column its categories, None for numbers."""
    if "c" not in (booster.feature_types or ()):
        return [None] * booster.num_features()
    stored = booster.get_categories(export_to_arrow=True).to_arrow()
    return [None if values is None else values.to_pylist() for _, values in stored]
