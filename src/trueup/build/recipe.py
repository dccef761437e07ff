"""How is a model made? The recipe: everything that, with the same rows, gives the same model again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.features import FeatureSpec
from trueup.kernel.digests import digest_of

Task = Literal["binary", "multiclass", "regression"]
FeatureKind = Literal["number", "category", "boolean", "date", "text"]


@dataclass(frozen=True)
class Feature:
    """One input column of a model."""

    name: str
    kind: FeatureKind


@dataclass(frozen=True)
class Recipe:
    """What to fit. Its digest names it; retraining in production repeats exactly this."""

    kind: str
    """``pipeline`` (the project's own code) or a rung of guided training: ``constant``, ``rule``, ``last_value``,
    ``linear``, ``gradient_boosting``, ``lightgbm``."""
    task: Task
    features: tuple[Feature, ...]
    params: tuple[tuple[str, Any], ...] = ()
    """Sorted name and value pairs, JSON values only."""
    calibrate: bool = False
    seed: int = 0
    pipeline: str | None = None
    """``module:function`` for kind ``pipeline``."""
    code_digest: str | None = None
    """Digest of the project's code for kind ``pipeline``."""
    n_classes: int = 2

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the recipe."""
        return digest_of(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return the recipe as a JSON document; `recipe_from_json` reads it back."""
        return {
            "kind": self.kind,
            "task": self.task,
            "features": [[f.name, f.kind] for f in self.features],
            "params": [list(pair) for pair in self.params],
            "calibrate": self.calibrate,
            "seed": self.seed,
            "pipeline": self.pipeline,
            "code_digest": self.code_digest,
            "n_classes": self.n_classes,
        }

    def param(self, name: str, default: Any = None) -> Any:
        """Return one of `params`, or `default`."""
        return dict(self.params).get(name, default)


def recipe_from_json(document: dict[str, Any]) -> Recipe:
    """Return the recipe that `Recipe.as_json` wrote."""
    return Recipe(
        kind=document["kind"],
        task=document["task"],
        features=tuple(Feature(name, kind) for name, kind in document["features"]),
        params=tuple((name, value) for name, value in document["params"]),
        calibrate=document["calibrate"],
        seed=document["seed"],
        pipeline=document["pipeline"],
        code_digest=document["code_digest"],
        n_classes=document["n_classes"],
    )


@dataclass(frozen=True)
class TrainingRows:
    """Which rows of a features file a model learns from, with what is known about them."""

    features_path: Path
    """Parquet with exactly the feature columns (and maybe more), in event-time order."""
    rows: NDArray[np.int64]
    """Positions in the file, increasing."""
    outcome: NDArray[np.float64]
    """Outcome of each of `rows`: 0 or 1, the class index, or the number."""
    weight: NDArray[np.float64] | None = None
    """Training weight of each of `rows`; None weighs all the same."""


@dataclass(frozen=True)
class FittedModel:
    """A model on disk that only a separate process opens."""

    path: Path
    recipe: Recipe
    digest: str
    """Names recipe and rows (not the bytes of the pickle)."""
    seconds: float
    """What fitting took; of the first time, where the fit was found in the scratch folder."""
    notes: tuple[str, ...] = ()
    """What a reader of the result should know, such as weights that the project's estimator cannot use."""
    inputs: tuple[FeatureSpec, ...] = ()
    """The columns of the frame it was fitted on, with the categories of its training rows; a bundle's schema."""
