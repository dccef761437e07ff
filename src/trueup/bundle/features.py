"""Which inputs does a model take, of which kind, with which categories?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from trueup.bundle.errors import BundleError
from trueup.bundle.logged_types import DTYPES, TEXT

Kind = Literal["number", "category", "boolean", "date", "text"]


class BadFeatures(BundleError):
    """A document does not describe features."""

    code = "bundle.bad-features"


@dataclass(frozen=True)
class FeatureSpec:
    """One input column as the model was trained on it."""

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    """Of kind category: the known values as text, sorted. A whole number is written without a point: ``"3"``."""
    dtype: str = ""
    """For a model made elsewhere: the column's type in its frame, one of `logged_types.DTYPES`. Empty: as `frames`
    makes it. With ``object`` a category is the text as it came, also one that is not among `categories`."""

    @property
    def unknown_place(self) -> int | None:
        """Return the position of a text that is not among the categories; None where it counts as missing."""
        return len(self.categories) if self.kind == "category" and self.dtype == TEXT else None


def features_document(features: Sequence[FeatureSpec]) -> list[dict[str, Any]]:
    """Return the features as JSON values, in order."""
    return [_feature_document(feature) for feature in features]


def parse_features(document: object) -> tuple[FeatureSpec, ...]:
    """Return the features of a document made by `features_document`.

    Raises
    ------
    BadFeatures
        When it is anything else.
    """
    if not isinstance(document, list):
        raise BadFeatures("the schema's features must be a list of {name, kind, categories}")
    return tuple(_parse_feature(entry, place=i) for i, entry in enumerate(document))


def _feature_document(feature: FeatureSpec) -> dict[str, Any]:
    categories = {"categories": list(feature.categories)} if feature.kind == "category" else {}
    return {
        "name": feature.name,
        "kind": feature.kind,
        **categories,
        **({"dtype": feature.dtype} if feature.dtype else {}),
    }


def _parse_feature(entry: object, *, place: int) -> FeatureSpec:
    if not isinstance(entry, dict):
        raise BadFeatures(f"feature {place} of the schema must be {{name, kind, categories}}", place=place)
    name, kind, categories = entry.get("name"), entry.get("kind"), entry.get("categories", [])
    if not isinstance(name, str) or kind not in get_args(Kind):
        raise BadFeatures(f"feature {place} of the schema needs a name and a kind of {get_args(Kind)}", place=place)
    if not isinstance(categories, list) or not all(isinstance(c, str) for c in categories):
        raise BadFeatures(f'the categories of "{name}" in the schema must be a list of texts', column=name)
    dtype = entry.get("dtype", "")
    if dtype not in ("", *DTYPES):
        raise BadFeatures(f'the type of "{name}" in the schema must be one of {", ".join(DTYPES)}', column=name)
    return FeatureSpec(name, cast("Kind", kind), tuple(categories), dtype)
