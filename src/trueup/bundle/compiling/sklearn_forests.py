"""How do scikit-learn's single trees and forests become LightGBM text? A mean of trees that round rows to float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trueup.bundle.compiling.lightgbm_text import Ensemble
from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.compiling.tree_columns import Codes, compiled_ensemble
from trueup.bundle.compiling.tree_nodes import FLOAT32_UNDERFLOW, Nodes, Refusals, guarded, sklearn_nodes


def compile_forest(forest: Any, columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    """Return a random forest or extra trees as a stage; its mean is over trees in their order, as scikit-learn's."""
    return _compile(forest, forest.estimators_, columns)


def compile_tree(tree: Any, columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    """Return a single decision tree as a stage."""
    return _compile(tree, [tree], columns)


def number_codes(columns: tuple[Column, ...]) -> list[Codes] | str:
    """Return how positions become the numbers that scikit-learn reads in their texts, or why they do not."""
    codes: list[Codes] = []
    for place, column in enumerate(columns):
        if column.categories is None:
            continue
        try:
            numbers = tuple(float(text) for text in column.categories)
        except ValueError:
            return f'"{column.name}" holds categories, which it takes as numbers only'
        codes.append((place, tuple(map(float, range(len(numbers)))), numbers))
    return codes


def _compile(model: Any, members: list[Any], columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    part = type(model).__name__
    inputs = len(columns)
    codes = number_codes(columns)
    answers = _answers(model)
    if isinstance(codes, str):
        return NotCompiled(part, codes)
    if isinstance(answers, str):
        return NotCompiled(part, answers)
    if model.n_features_in_ != inputs:
        return NotCompiled(part, f"was fitted on {model.n_features_in_} columns and is given {inputs}")
    trees = [_nodes(member.tree_, answer) for member in members for answer in answers]
    refusals = _refusals_of(members[0], inputs)
    trees[: len(answers)] = [guarded(nodes, refusals) for nodes in trees[: len(answers)]]
    ensemble = Ensemble(trees, inputs=inputs, outputs=len(answers), average=len(members) > 1)
    return compiled_ensemble(ensemble, part, codes=codes, zero_up_to=FLOAT32_UNDERFLOW)


def _answers(model: Any) -> list[int] | str:
    """Return which numbers of a leaf are answers: of two classes the second, of several all, of a regressor its one."""
    if model.n_outputs_ != 1:
        return "answers several questions at once"
    classes = len(getattr(model, "classes_", [None]))
    if not hasattr(model, "classes_"):
        return [0]
    if classes == 1:
        return "has seen one class only"
    return [1] if classes == 2 else list(range(classes))


def _nodes(tree: Any, answer: int) -> Nodes:
    values = tree.value[:, 0, answer].astype(np.float64)
    if not all(map(math.isfinite, values.tolist())):
        raise ValueError("a leaf of the tree holds no number")
    return sklearn_nodes(tree, values)


def _refusals_of(model: Any, inputs: int) -> Refusals:
    """Return what `model`, a scikit-learn tree, refuses: numbers too large for float32, and some of them missing ones.

    Its private answer is asked, since scikit-learn decides by the criterion, the splitter and the constraints.
    """
    return Refusals(range(inputs), missing=not model._support_missing_values(np.zeros((1, inputs), np.float32)))
