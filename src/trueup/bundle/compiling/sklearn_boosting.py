"""How does scikit-learn's gradient boosting become LightGBM text? Its sum, its link, and its way with categories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.lightgbm_text import Ensemble
from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.compiling.sklearn_forests import number_codes
from trueup.bundle.compiling.tree_columns import Codes, compiled_ensemble
from trueup.bundle.compiling.tree_nodes import FLOAT32_UNDERFLOW, LEAF, Nodes, Refusals, guarded, sklearn_nodes
from trueup.bundle.values import category_text

_OBJECTIVES = {
    "IdentityLink": "",
    "LogLink": "poisson",
    "LogitLink": "binary sigmoid:1",
    "HalfLogitLink": "binary sigmoid:2",
    "MultinomialLogit": "multiclass num_class:{outputs}",
}
"""LightGBM's objective with the same inverse link: exp, 1 / (1 + exp(-s x)), softmax."""
_LINK_UNKNOWN = "its link {link} is not one that LightGBM has"
_PLAIN_STARTS = ("DummyClassifier", "DummyRegressor")
_WORD = 32


def compile_gradient_boosting(model: Any, columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    """Return ``GradientBoostingClassifier`` or ``-Regressor`` as a stage; a starting model of one's own stays out."""
    part, inputs = type(model).__name__, len(columns)
    codes = number_codes(columns)
    objective = _objective(model, outputs=model.n_trees_per_iteration_)
    if isinstance(codes, str):
        return NotCompiled(part, codes)
    if objective is None:
        return NotCompiled(part, _LINK_UNKNOWN.format(link=type(model._loss.link).__name__))
    if not isinstance(model.init_, str) and type(model.init_).__name__ not in _PLAIN_STARTS:
        return NotCompiled(part, f"it starts from a model of its own, {type(model.init_).__name__}")
    if wrong := _width_differs(model.n_features_in_, inputs):
        return NotCompiled(part, wrong)
    start = model._raw_predict_init(np.zeros((1, inputs), np.float32))[0]
    trees = [
        sklearn_nodes(tree.tree_, model.learning_rate * tree.tree_.value[:, 0, 0]) for tree in model.estimators_.ravel()
    ]
    trees[: len(start)] = [_raised(nodes, by) for nodes, by in zip(trees, start, strict=False)]
    refusals = Refusals(range(inputs), missing=True)
    trees[: len(start)] = [guarded(nodes, refusals) for nodes in trees[: len(start)]]
    ensemble = Ensemble(trees, inputs=inputs, outputs=len(start), objective=objective)
    return compiled_ensemble(ensemble, part, codes=codes, zero_up_to=FLOAT32_UNDERFLOW)


def compile_hist_gradient_boosting(model: Any, columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    """Return ``HistGradientBoostingClassifier`` or ``-Regressor`` as a stage.

    Notes
    -----
    Its own preprocessor puts the categorical columns first and turns categories into ordinals; its trees split on
    those. An unknown category goes where a missing one does.
    """
    part, inputs = type(model).__name__, len(columns)
    inward = _inward(model, columns)
    if isinstance(inward, str):
        return NotCompiled(part, inward)
    start = np.ravel(model._baseline_prediction)
    objective = _objective(model, outputs=len(start))
    if objective is None:
        return NotCompiled(part, _LINK_UNKNOWN.format(link=type(model._loss.link).__name__))
    known = {feature: set(range(len(positions))) for feature, positions in inward.positions.items()}
    trees = [_hist_nodes(predictor, inward, known) for predictors in model._predictors for predictor in predictors]
    trees[: len(start)] = [_raised(nodes, by) for nodes, by in zip(trees, start, strict=False)]
    ensemble = Ensemble(trees, inputs=inputs, outputs=len(start), objective=objective)
    return compiled_ensemble(ensemble, part, codes=inward.codes)


@dataclass(frozen=True)
class _Inward:
    """From the features that the trees split on back to the columns that arrive."""

    order: NDArray[np.int64]
    """The column of each feature."""
    positions: dict[int, tuple[int | None, ...]]
    """Of a categorical feature: for each ordinal the position that arrives; None where none does."""
    codes: list[Codes]


def _inward(model: Any, columns: tuple[Column, ...]) -> _Inward | str:
    if wrong := _width_differs(model.n_features_in_, len(columns)):
        return wrong
    texts = {place for place, column in enumerate(columns) if column.categories is not None}
    if model._preprocessor is None:
        if texts:
            return f'"{columns[min(texts)].name}" holds categories, which it was told to take as numbers'
        return _Inward(np.arange(len(columns)), {}, [])
    chosen = np.flatnonzero(model.is_categorical_)
    if strange := texts - set(chosen.tolist()):
        return f'"{columns[min(strange)].name}" holds categories, which it was told to take as numbers'
    order = np.concatenate([chosen, np.flatnonzero(~model.is_categorical_)]).astype(np.int64)
    positions: dict[int, tuple[int | None, ...]] = {}
    codes: list[Codes] = []
    for feature, categories in enumerate(model._preprocessor.named_transformers_["encoder"].categories_):
        column, known = columns[chosen[feature]], _without_missing(categories)
        if column.categories is None:
            if not all(isinstance(value, int | float) for value in known):
                return f'"{column.name}" holds numbers, but it was fitted on texts there'
            codes.append((int(chosen[feature]), tuple(map(float, known)), tuple(map(float, range(len(known))))))
            positions[feature] = tuple(range(len(known)))
        else:
            places = {text: place for place, text in enumerate(column.categories)}
            positions[feature] = tuple(places.get(category_text(value) or "") for value in known)
    return _Inward(order, positions, codes)


def _hist_nodes(predictor: Any, inward: _Inward, known: dict[int, set[int]]) -> Nodes:
    found = predictor.nodes
    leaf = found["is_leaf"].astype(bool)
    left = np.where(leaf, LEAF, found["left"].astype(np.int64))
    right = np.where(leaf, LEAF, found["right"].astype(np.int64))
    feature = found["feature_idx"].astype(np.int64)
    missing_left = found["missing_go_to_left"].astype(bool)
    chosen: dict[int, tuple[int, ...]] = {}
    for node in np.flatnonzero(~leaf & found["is_categorical"].astype(bool)).tolist():
        ordinals = _ordinals(predictor.raw_left_cat_bitsets[found["bitset_idx"][node]])
        if missing_left[node]:  # LightGBM sends a missing category to the right: the children change places
            ordinals = known[feature[node]] - ordinals
            left[node], right[node] = right[node], left[node]
        positions = inward.positions[feature[node]]
        arriving = (positions[ordinal] for ordinal in ordinals if ordinal < len(positions))
        chosen[node] = tuple(sorted(place for place in arriving if place is not None))
    return Nodes(
        left=left,
        right=right,
        feature=inward.order[np.where(leaf, 0, feature)],
        threshold=found["num_threshold"].astype(np.float64),
        missing_left=missing_left,
        value=found["value"].astype(np.float64),
        weight=found["count"].astype(np.float64),
        chosen=chosen,
    )


def _ordinals(bitset: NDArray[np.uint32]) -> set[int]:
    return {word * _WORD + bit for word, bits in enumerate(bitset.tolist()) for bit in range(_WORD) if bits >> bit & 1}


def _without_missing(categories: NDArray[Any]) -> list[Any]:
    values = categories.tolist()
    return [value for value in values if value is not None and value == value]  # noqa: PLR0124  # NaN is not itself


def _raised(nodes: Nodes, by: float) -> Nodes:
    """Return the tree with the starting value in its leaves: ``start + leaf`` is the original's own first sum."""
    return replace(nodes, value=by + nodes.value)


def _objective(model: Any, *, outputs: int) -> str | None:
    found = _OBJECTIVES.get(type(model._loss.link).__name__)
    return None if found is None else found.format(outputs=outputs)


def _width_differs(fitted: int, given: int) -> str | None:
    return None if fitted == given else f"was fitted on {fitted} columns and is given {given}"
