"""Which texts do a model's encoders know, column by column? Read from the fitted model, inside its process.

A bundle's schema must hold every one of them: its decoder tells a text only by its place among the categories.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueup.bundle.native_models import LightGBMModel
from trueup.bundle.values import category_text

_INSIDE = ("best_estimator_", "estimator_", "estimator", "regressor_", "final_estimator_", "calibrated_classifiers_")
_SEVERAL = ("estimators_", "calibrated_classifiers_")


@dataclass
class Known:
    """What was found on the way through a model."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    """By column; sorted, but for columns in `typed`, which keep the model's order."""
    typed: list[str] = field(default_factory=list)
    """Columns that arrive as pandas categories."""


def categories_known(model: Any, names: Sequence[str] | None) -> Known:
    """Return the categories of a fitted model's columns.

    Parameters
    ----------
    model : object
        A scikit-learn estimator or pipeline, or `LightGBMModel`.
    names : sequence of str or None
        The columns that reach it.
    """
    known = Known()
    if names:
        _walk(model, list(names), known)
    known.texts = {name: texts if name in known.typed else sorted(set(texts)) for name, texts in known.texts.items()}
    return known


def _walk(part: Any, names: list[str], known: Known) -> None:
    if isinstance(part, LightGBMModel) or type(part).__module__ == "lightgbm.sklearn":
        _from_lightgbm(part, names, known)
    elif hasattr(part, "steps"):
        for _, step in part.steps:
            _walk(step, names, known)
    elif hasattr(part, "transformers_"):
        for transformer, columns in _transformers(part):
            _walk(transformer, [names[column] for column in columns if column < len(names)], known)
    elif getattr(part, "is_categorical_", None) is not None and hasattr(part, "_preprocessor"):
        _from_boosting(part, names, known)
    elif len(getattr(part, "categories_", ())) == len(names):
        for name, values in zip(names, part.categories_, strict=True):
            _add(known, name, values)
    else:
        for inner in _inner(part):
            _walk(inner, names, known)


def _transformers(part: Any) -> Iterator[tuple[Any, list[int]]]:
    """Yield the transformers of a column transformer with the places of their columns, what is left over included."""
    places = getattr(part, "_transformer_to_input_indices", {})
    for name, transformer, *_ in part.transformers_:
        if not isinstance(transformer, str):
            yield transformer, list(places.get(name, ()))


def _inner(part: Any) -> Iterator[Any]:
    for name in _INSIDE:
        inner = getattr(part, name, None)
        if inner is not None and not isinstance(inner, str | list):
            yield inner
    for name in _SEVERAL:
        several = getattr(part, name, ())
        yield from (one for one in (several if isinstance(several, list) else ()) if hasattr(one, "__dict__"))
    for pair in getattr(part, "transformer_list", ()):
        yield pair[1]


def _from_lightgbm(part: Any, names: list[str], known: Known) -> None:
    booster = part.booster if isinstance(part, LightGBMModel) else part.booster_
    trained = booster.pandas_categorical or []
    text = booster.model_to_string(num_iteration=1)
    line = next((line for line in text.splitlines() if line.startswith("[categorical_feature: ")), "")
    places = [int(place) for place in line[len("[categorical_feature: ") : -1].split(",") if place.strip().isdigit()]
    if len(places) == len(trained) and all(place < len(names) for place in places):
        for place, values in zip(places, trained, strict=True):
            known.typed.append(names[place])
            known.texts[names[place]] = [category_text(value) or "" for value in values]


def _from_boosting(part: Any, names: list[str], known: Known) -> None:
    """Take the categories of scikit-learn's histogram boosting, which encodes its own columns first."""
    encoder = part._preprocessor.named_transformers_.get("encoder") if part._preprocessor is not None else None
    places = [place for place, yes in enumerate(part.is_categorical_) if yes]
    for place, values in zip(places, getattr(encoder, "categories_", ()), strict=False):
        texts = [category_text(value) for value in values]
        known.typed.append(names[place])
        known.texts[names[place]] = [text for text in texts if text is not None]


def _add(known: Known, name: str, values: Any) -> None:
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        known.texts[name] = [*known.texts.get(name, ()), *texts]
