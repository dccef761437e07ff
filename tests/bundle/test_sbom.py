"""The bill of materials is valid CycloneDX, complete, and the same for the same bundle."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from trueup.bundle.environment import lock_environment, locked_versions
from trueup.bundle.features import FeatureSpec
from trueup.bundle.manifest import parse_manifest
from trueup.bundle.package import BundleRef
from trueup.bundle.sbom import bill_of_materials


def bill(lock: str) -> dict[str, Any]:
    """Return the bill of a model with one feature."""
    content = bill_of_materials(
        project="fraud",
        model_version="1",
        model_digest="a" * 64,
        task="binary",
        features=[FeatureSpec("amount", "number")],
        lock=lock,
    )
    document: dict[str, Any] = json.loads(content)
    return document


def test_the_bill_in_a_bundle_is_valid_and_names_every_distribution_of_the_lock(bundle: BundleRef) -> None:
    text = (bundle.path / "sbom.cdx.json").read_text()
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert problem is None, problem

    document = json.loads(text)
    versions = {component["name"]: component["version"] for component in document["components"]}
    assert versions == locked_versions((bundle.path / "environment.lock").read_text())
    manifest = parse_manifest((bundle.path / "manifest.json").read_bytes())
    [digest] = document["metadata"]["component"]["hashes"]
    assert digest["content"] == manifest.files["model/model.pkl"]
    assert {"serialNumber", "timestamp"} & {*document, *document["metadata"]} == set()


def test_a_component_has_its_address_hashes_and_licence() -> None:
    numpy = importlib.metadata.version("numpy")
    document = bill(f"python==3.11.7\nnumpy=={numpy} --hash=sha256:{'b' * 64}\n")

    python, found = sorted(document["components"], key=lambda c: c["name"], reverse=True)
    assert (python["type"], python["purl"]) == ("platform", "pkg:generic/python@3.11.7")
    assert found["purl"] == f"pkg:pypi/numpy@{numpy}"
    assert found["externalReferences"][0]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert "BSD-3-Clause" in found["licenses"][0]["expression"]
    assert document["dependencies"][0]["dependsOn"] == [f"pkg:pypi/numpy@{numpy}", "pkg:generic/python@3.11.7"]


def test_a_version_that_is_not_installed_here_gets_no_licence_of_another() -> None:
    [component] = bill("numpy==0.0.1\n")["components"]

    assert "licenses" not in component
    assert "externalReferences" not in component


def test_nearly_every_distribution_states_a_licence() -> None:
    components = [c for c in bill(lock_environment())["components"] if c["name"] != "python"]

    lacking = [c["name"] for c in components if "licenses" not in c]
    assert len(components) > 50
    assert len(lacking) <= 5, lacking


def test_a_local_version_is_an_address_too() -> None:
    [component] = bill("torch==2.0+cpu\n")["components"]

    assert component["purl"] == "pkg:pypi/torch@2.0%2Bcpu"


def test_a_library_that_replaces_the_reader_of_licences_changes_nothing() -> None:
    # this one answers a fact that is not stated with an error, from its import on, for the whole process
    importlib.import_module("importlib_metadata")

    assert {c["name"] for c in bill(lock_environment())["components"]} >= {"numpy", "python"}
