"""What is a bundle made of? A software bill of materials, CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

Without time and serial number, which the standard leaves free: the same bundle has the same bill.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

from trueup.bundle.environment import locked_hashes, locked_versions
from trueup.bundle.features import FeatureSpec
from trueup.kernel.digests import canonical_json

_MODEL = "model"
_ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_LONGEST_NAME = 100


def bill_of_materials(
    *, project: str, model_version: str, model_digest: str, task: str, features: Sequence[FeatureSpec], lock: str
) -> bytes:
    """Return the content of ``sbom.cdx.json``: the model, and every distribution of its ``environment.lock``.

    Licences are those that the installed distributions state; one that states none, or is not installed here, has none.

    Parameters
    ----------
    model_digest : str
        SHA-256 of the model file.
    """
    versions, hashes = locked_versions(lock), locked_hashes(lock)
    components = [_component(name, version, hashes.get(name, ())) for name, version in sorted(versions.items())]
    model = {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": project,
        "version": model_version,
        "hashes": [{"alg": "SHA-256", "content": model_digest}],
        "modelCard": {
            "modelParameters": {
                "task": task,
                "inputs": [{"format": feature.kind} for feature in features],
                "outputs": [{"format": "number"}],
            }
        },
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": model},
        "components": components,
        "dependencies": [{"ref": _MODEL, "dependsOn": [component["bom-ref"] for component in components]}],
    }
    return canonical_json(document).encode()


def _component(name: str, version: str, hashes: Sequence[str]) -> dict[str, Any]:
    where = "generic" if name == "python" else "pypi"
    purl = f"pkg:{where}/{name}@{version.replace('+', '%2B')}"
    component: dict[str, Any] = {
        "type": "platform" if name == "python" else "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }
    licences = _licences(name, version)
    files = [_hash(text) for text in hashes]
    return (
        component
        | ({"licenses": licences} if licences else {})
        # each hash is of one file of the release: a wheel for one platform, or its source
        | ({"externalReferences": [{"type": "distribution", "url": purl, "hashes": files}]} if files else {})
    )


def _hash(text: str) -> dict[str, str]:
    algorithm, _, content = text.partition(":")
    return {"alg": _ALGORITHMS[algorithm], "content": content}


def _licences(name: str, version: str) -> list[dict[str, Any]]:
    """Return what an installed distribution states: an SPDX expression, else the names of its classifiers or field."""
    try:
        stated = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return []
    if _stated(stated, "Version") != version:
        return []
    if expression := _stated(stated, "License-Expression"):
        return [{"expression": expression}]
    classifiers = [text for text in stated.get_all("Classifier", []) if text.startswith("License ::")]
    names = [text.rpartition("::")[2].strip() for text in classifiers if not text.endswith("OSI Approved")]
    field = _stated(stated, "License").strip()
    if not names and field:
        # some put the whole text there
        names = [field.splitlines()[0][:_LONGEST_NAME]]
    return [{"license": {"name": licence}} for licence in sorted(set(names))]


def _stated(facts: importlib.metadata.PackageMetadata, name: str) -> str:
    # some libraries bring another reader of these facts, for which a missing one is an error
    return str(facts[name] or "") if name in facts else ""
