"""What is in a bundle, and what changed between two, for people?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueup.bundle.features import FeatureSpec
from trueup.bundle.manifest import Manifest

COMPILED = frozenset({"plans", "columns"})
"""Parts of a policy that follow from its texts and tell people nothing."""
_CATEGORIES_SHOWN = 5
_SIMPLE = ("project", "task", "model_version", "charter_version", "charter_digest", "table_version", "code_revision")


@dataclass(frozen=True)
class BundleChange:
    """One thing that is not the same in two bundles."""

    what: str
    """Entry of the manifest, such as ``metrics.auc``, ``feature amount``, ``file code/pipeline.py``; or the signer."""
    before: object
    """None where it is new."""
    after: object
    """None where it is gone."""


def describe_bundle(manifest: Manifest) -> dict[str, Any]:
    """Return a bundle's facts in the order people ask for them, as JSON values."""
    return {
        "digest": manifest.digest,
        **{name: getattr(manifest, name) for name in _SIMPLE},
        "classes": list(manifest.classes),
        "features": [_feature_text(feature) for feature in manifest.features],
        "metrics": dict(manifest.metrics),
        "policy": {name: part for name, part in manifest.policy.items() if name not in COMPILED},
        "recipe": dict(manifest.recipe),
        "predictor": _predictor(manifest),
        "files": len(manifest.files),
    }


def diff_bundles(before: Manifest, after: Manifest) -> tuple[BundleChange, ...]:
    """Return what changed from one bundle to the next; empty for the same bundle."""
    return tuple(_changes(before, after))


def _changes(before: Manifest, after: Manifest) -> Iterator[BundleChange]:
    yield from _differences("", *({name: getattr(m, name) for name in _SIMPLE} for m in (before, after)))
    for part in ("metrics", "policy", "recipe"):
        yield from _differences(f"{part}.", getattr(before, part), getattr(after, part))
    yield from _differences("predictor.", _predictor(before), _predictor(after))
    yield from _feature_changes(before.features, after.features)
    yield from _differences("file ", before.files, after.files)


def _predictor(manifest: Manifest) -> dict[str, Any]:
    return {**asdict(manifest.predictor), "slow_parts": list(manifest.predictor.slow_parts)}


def _feature_changes(before: Sequence[FeatureSpec], after: Sequence[FeatureSpec]) -> Iterator[BundleChange]:
    first, second = ({feature.name: feature for feature in features} for features in (before, after))
    for change in _differences("feature ", first, second):
        told = [
            _feature_text(side) if isinstance(side, FeatureSpec) else None for side in (change.before, change.after)
        ]
        yield BundleChange(change.what, *told)
    if set(first) == set(second) and list(first) != list(second):
        yield BundleChange("order of features", list(first), list(second))


def _differences(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[BundleChange]:
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            yield BundleChange(f"{prefix}{name}", before.get(name), after.get(name))


def _feature_text(feature: FeatureSpec) -> str:
    if feature.kind != "category":
        return f"{feature.name} ({feature.kind})"
    more = ", …" if len(feature.categories) > _CATEGORIES_SHOWN else ""
    first = ", ".join(feature.categories[:_CATEGORIES_SHOWN])
    return f"{feature.name} (category of {len(feature.categories)}: {first}{more})"
