"""Which files make a model folder that MLflow's tools can load, with the bundle's own numbers?

Written by ourselves: the format is a YAML file beside the pickle. Times and random ids, which MLflow adds, are
optional and left out. `mlflow_loader` and the project's code travel in one archive: from a folder Python would write
bytecode beside them, and a bundle must stay as it was signed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

import yaml

from trueup.bundle.environment import locked_versions
from trueup.bundle.features import FeatureSpec, features_document
from trueup.bundle.layout import MODEL_FILE, MODEL_FOLDER
from trueup.kernel.digests import canonical_json, digest_of_bytes

SCHEMA_FILE = f"{MODEL_FOLDER}/schema.json"
CODE_FILE = f"{MODEL_FOLDER}/code.zip"
EXAMPLE_FILE = f"{MODEL_FOLDER}/input_example.json"
EXAMPLE_ROWS = 5
_LOADER = "mlflow_loader.py"
_SHIPPED = ("class_scores.py", "logged_types.py", "values.py")
_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold."""


@dataclass(frozen=True)
class MlflowContents:
    """What goes into the folder."""

    model: bytes
    """The pickled estimator."""
    lock: str
    """Content of the bundle's ``environment.lock``."""
    task: str
    """binary, multiclass or regression."""
    features: tuple[FeatureSpec, ...]
    classes: tuple[str, ...] = ()
    requests: Sequence[str] = ()
    """Golden requests; the first ones are the input example."""
    code: Mapping[str, bytes] = field(default_factory=dict)
    """The project's Python files by their path."""


def mlflow_files(contents: MlflowContents) -> dict[str, bytes]:
    """Return the files of ``model/`` by their path in the bundle; the same contents give the same bytes."""
    versions = locked_versions(contents.lock)
    python = versions.pop("python")
    requirements = [f"{name}=={version}" for name, version in versions.items()]
    loader, code = _code_archive(contents.code)
    example = _example(contents)
    schema = {
        "task": contents.task,
        "classes": list(contents.classes),
        "features": features_document(contents.features),
    }
    return {
        MODEL_FILE: contents.model,
        SCHEMA_FILE: canonical_json(schema).encode(),
        CODE_FILE: code,
        **({EXAMPLE_FILE: example} if example else {}),
        f"{MODEL_FOLDER}/MLmodel": _yaml(_description(contents, versions, loader=loader, example=bool(example))),
        f"{MODEL_FOLDER}/requirements.txt": ("\n".join(requirements) + "\n").encode(),
        f"{MODEL_FOLDER}/python_env.yaml": _yaml(
            {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
        ),
        f"{MODEL_FOLDER}/conda.yaml": _yaml(
            {
                "name": "trueup",
                "channels": ["conda-forge"],
                "dependencies": [f"python={python}", "pip", {"pip": requirements}],
            }
        ),
    }


def _description(
    contents: MlflowContents, versions: Mapping[str, str], *, loader: str, example: bool
) -> dict[str, object]:
    pickled, code = PurePosixPath(MODEL_FILE).name, PurePosixPath(CODE_FILE).name
    about_example = {
        "artifact_path": PurePosixPath(EXAMPLE_FILE).name,
        "pandas_orient": "split",
        "type": "dataframe",
    }
    return {
        "flavors": {
            "python_function": {
                "code": code,
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": loader,
                "predict_fn": "predict",
                "python_version": locked_versions(contents.lock)["python"],
            },
            "sklearn": {
                "code": code,
                "pickled_model": pickled,
                "serialization_format": "pickle",
                "sklearn_version": versions.get("scikit-learn"),
            },
        },
        "metadata": {"trueup": {"task": contents.task, "inputs": {f.name: f.kind for f in contents.features}}},
        "signature": _signature(contents),
        **({"saved_input_example_info": about_example} if example else {}),
    }


def _signature(contents: MlflowContents) -> dict[str, Any]:
    """Return MLflow's signature: names with the type ``any``.

    MLflow compares types before the loader sees a row, and refuses an int64 column where a double is declared, or a
    float64 one (whole numbers with one missing) where a long is. The loader reads every type of the kind.
    """
    inputs = [{"type": "any", "name": f.name, "required": True} for f in contents.features]
    names = contents.classes if contents.task == "multiclass" else (None,)
    outputs = [{"type": "double", **({"name": name} if name else {}), "required": True} for name in names]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}


def _example(contents: MlflowContents) -> bytes | None:
    rows = [json.loads(request) for request in contents.requests[:EXAMPLE_ROWS]]
    if not rows:
        return None
    columns = [f.name for f in contents.features]
    return canonical_json({"columns": columns, "data": [[row.get(name) for name in columns] for row in rows]}).encode()


def _code_archive(code: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the loader's module name and the archive; the name holds its digest, since a process has one of a name."""
    own = resources.files("trueup.bundle")
    shipped = {"__init__.py": own.joinpath(_LOADER).read_bytes()}
    shipped |= {name: own.joinpath(name).read_bytes() for name in _SHIPPED}
    loader = f"trueup_loader_{digest_of_bytes(b''.join(shipped.values()))[:12]}"
    files = {f"{loader}/{name}": content for name, content in shipped.items()} | dict(code)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(files):
            archive.writestr(zipfile.ZipInfo(path, _FIRST_MOMENT), files[path])
    return loader, content.getvalue()


def _yaml(document: dict[str, object]) -> bytes:
    return yaml.safe_dump(document, sort_keys=True).encode()
