"""Which files make a model folder that MLflow's tools can load?

Written by ourselves: the format is a YAML file beside the pickle. Times and random ids, which MLflow adds, are
optional and left out.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import yaml

from trueup.bundle.environment import locked_versions
from trueup.bundle.layout import MODEL_FILE, MODEL_FOLDER


def mlflow_files(model: bytes, *, lock: str) -> dict[str, bytes]:
    """Return the files of ``model/`` by their path in the bundle.

    Parameters
    ----------
    model : bytes
        The pickled estimator (cloudpickle or pickle).
    lock : str
        Content of the bundle's ``environment.lock``.
    """
    versions = locked_versions(lock)
    python = versions.pop("python")
    requirements = [f"{name}=={version}" for name, version in versions.items()]
    return {
        MODEL_FILE: model,
        f"{MODEL_FOLDER}/MLmodel": _yaml(_description(python, versions.get("scikit-learn"))),
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


def _description(python: str, scikit_learn: str | None) -> dict[str, object]:
    pickled = PurePosixPath(MODEL_FILE).name
    return {
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": pickled,
                "predict_fn": "predict",
                "python_version": python,
            },
            "sklearn": {
                "code": None,
                "pickled_model": pickled,
                "serialization_format": "cloudpickle",
                "sklearn_version": scikit_learn,
            },
        },
    }


def _yaml(document: dict[str, object]) -> bytes:
    return yaml.safe_dump(document, sort_keys=True).encode()
