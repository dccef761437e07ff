"""What do the compilers of trees, steps and linear models take and give?

Between two stages flow numbers in columns. A column of numbers is as it is (NaN where missing); a column of categories
holds the position among its categories (NaN where unknown or missing), as a pandas category's code does.

A classifier of two classes gives one number, the probability of ``classes_[1]``; of several classes one number each, in
the order of ``classes_``; a regressor one number. Where the original refuses a row, the compiled one gives NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueup.bundle.features import FeatureSpec


@dataclass(frozen=True)
class Column:
    """One column as it reaches an estimator or transformer."""

    name: str
    categories: tuple[str, ...] | None = None
    """None: a plain float64; else the texts that the positions stand for."""


@dataclass(frozen=True)
class Compiled:
    """A part of a model as stages of `predictors.predictor`."""

    stages: tuple[Mapping[str, Any], ...]
    """JSON documents, each with its ``kind``; they name their files."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Content by name, such as ``trees.txt``; plain names, no folders."""
    columns: tuple[Column, ...] = ()
    """What comes out; for an estimator's answer one column for each number."""


@dataclass(frozen=True)
class NotCompiled:
    """A part that stays as it is, and why."""

    part: str
    """The part by its path in the model, such as ``preprocess > FunctionTransformer(add_ratio)``."""
    reason: str


def columns_of(features: Sequence[FeatureSpec]) -> tuple[Column, ...]:
    """Return the columns that a decoder gives for a schema."""
    return tuple(Column(f.name, f.categories if f.kind == "category" else None) for f in features)
