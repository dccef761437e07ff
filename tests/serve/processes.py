"""Bundles that answer from a process of their own: one of this environment, and one that needs another environment.

Run as a program it packages the latter, in a development environment that holds what the server's does not.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
from tests.serve.lakes import FEATURES, PROJECT

from trueup.align.decision_policy import policy_document
from trueup.align.project_file import parse_project
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.package import BundleContents, package
from trueup.bundle.signing import ensure_signing_key

LIBRARY = "faraway"
_WHEEL = f"{LIBRARY}-1.0-py3-none-any.whl"
_INFO = f"{LIBRARY}-1.0.dist-info"
_PIPELINE = """
import numpy as np
from {library} import {name} as slope


class Model:
    \"\"\"Its score grows with the amount and the age.\"\"\"

    def predict_proba(self, frame):
        reached = slope(frame["amount"].to_numpy() + frame["age"].to_numpy() / 40 - {bias})
        score = 1 / (1 + np.exp(-reached))
        return np.column_stack([1 - score, score])
"""


def package_in_process(folder: Path, *, bias: float = 2.0) -> str:
    """Package a model that stays in Python into ``bundles/``, signed by the folder's key; return its digest."""
    return _package(folder, _PIPELINE.format(library="numpy", name="asarray", bias=bias))


def package_elsewhere(folder: Path) -> str:
    """Package a model that needs a library which is only in ``wheels/`` of the folder; return its digest."""
    (folder / "wheels").mkdir()
    wheel = folder / "wheels" / _WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{LIBRARY}.py", "def twice(x):\n    return 2 * x\n")
        archive.writestr(f"{_INFO}/METADATA", f"Metadata-Version: 2.1\nName: {LIBRARY}\nVersion: 1.0\n")
        archive.writestr(f"{_INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        names = (f"{LIBRARY}.py", f"{_INFO}/METADATA", f"{_INFO}/WHEEL", f"{_INFO}/RECORD")
        archive.writestr(f"{_INFO}/RECORD", "".join(f"{name},,\n" for name in names))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "development")
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.serve.processes", str(folder)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(folder / "development")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()[-1]


def finding_wheels(folder: Path) -> dict[str, str]:
    """Return the variables with which environments are made of ``wheels/`` and of what this one was made of."""
    made_by = Path(__file__).parents[2] / ".tools" / "bin"
    places = [os.environ["PATH"], *([str(made_by)] if shutil.which("uv") is None else [])]
    wheels = str(folder / "wheels")
    return {"PATH": os.pathsep.join(places), "UV_FIND_LINKS": wheels, "PIP_FIND_LINKS": wheels}


def _package(folder: Path, pipeline: str, *, lock: str = "") -> str:
    (folder / "pipeline.py").write_text(pipeline)
    spec = importlib.util.spec_from_file_location("pipeline", folder / "pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pipeline"] = module
    try:
        spec.loader.exec_module(module)
        model = pickle.dumps(module.Model())
    finally:
        del sys.modules["pipeline"]
    path = folder / "slow.pickle"
    path.write_bytes(model)
    table = pa.table({"amount": [-1.5, 0.25, 3.0], "age": [18.0, 40.5, 90.0]})
    contents = BundleContents(
        project="small-fraud",
        task="binary",
        model_version="slow",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="7",
        features=FEATURES,
        model_path=path,
        golden_requests=make_golden_requests(table, FEATURES),
        classes=("no", "yes"),
        policy=policy_document(parse_project(PROJECT, folder=folder)),
        cutoff=0.4,
        code={"pipeline.py": pipeline.encode()},
        requirements_lock=lock,
    )
    return package(contents, into=folder / "bundles", signing_key=ensure_signing_key(folder / "signing.pem")).digest


def main() -> None:
    """Package the bundle that needs the library, in a folder that holds its wheel, and print its digest."""
    folder = Path(sys.argv[1])
    digest = hashlib.sha256((folder / "wheels" / _WHEEL).read_bytes()).hexdigest()
    pipeline = _PIPELINE.format(library=LIBRARY, name="twice", bias=1.0)
    sys.stdout.write(_package(folder, pipeline, lock=f"{LIBRARY}==1.0 --hash=sha256:{digest}\n"))


if __name__ == "__main__":
    main()
