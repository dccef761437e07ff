"""People see what is in a bundle and what changed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from trueup.bundle.features import FeatureSpec
from trueup.bundle.manifest import Manifest, parse_manifest
from trueup.bundle.package import BundleRef
from trueup.bundle.served import Served
from trueup.bundle.show import BundleChange, describe_bundle, diff_bundles


@pytest.fixture
def manifest(bundle: BundleRef) -> Manifest:
    """Return the manifest of the packaged bundle."""
    return parse_manifest((bundle.path / "manifest.json").read_bytes())


def test_a_description_is_json_with_the_digest_first(manifest: Manifest) -> None:
    described = describe_bundle(manifest)

    assert next(iter(described)) == "digest"
    assert json.loads(json.dumps(described))["features"][1] == "broker (category of 2: a, b)"


def test_the_same_bundle_has_no_changes(manifest: Manifest) -> None:
    assert diff_bundles(manifest, manifest) == ()


def test_changes_are_named_with_both_sides(manifest: Manifest) -> None:
    amount, broker = manifest.features
    after = replace(
        manifest,
        model_version="2",
        metrics={"auc": 0.8, "mae": 1.0},
        features=(amount, replace(broker, categories=("a", "c")), FeatureSpec("day", "date")),
        files={**manifest.files, "code/pipeline.py": "0" * 64},
    )

    assert diff_bundles(manifest, after) == (
        BundleChange("model_version", "1", "2"),
        BundleChange("metrics.auc", 0.75, 0.8),
        BundleChange("metrics.mae", None, 1.0),
        BundleChange("feature broker", "broker (category of 2: a, b)", "broker (category of 2: a, c)"),
        BundleChange("feature day", None, "day (date)"),
        BundleChange("file code/pipeline.py", manifest.files["code/pipeline.py"], "0" * 64),
    )


def test_what_answers_is_told_and_its_change_is_a_change(manifest: Manifest) -> None:
    before = replace(manifest, predictor=Served("hybrid", 1e-12, 0.5, ("own_step: code of your own",)))
    after = replace(manifest, predictor=Served("compiled", 1e-12, 0.25))

    assert describe_bundle(after)["predictor"] == {
        "kind": "compiled",
        "tolerance": 1e-12,
        "cutoff": 0.25,
        "slow_parts": [],
    }
    assert diff_bundles(before, after) == (
        BundleChange("predictor.cutoff", 0.5, 0.25),
        BundleChange("predictor.kind", "hybrid", "compiled"),
        BundleChange("predictor.slow_parts", ["own_step: code of your own"], []),
    )


def test_the_order_of_features_is_a_change(manifest: Manifest) -> None:
    [change] = diff_bundles(manifest, replace(manifest, features=manifest.features[::-1]))

    assert change == BundleChange("order of features", ["amount", "broker"], ["broker", "amount"])
