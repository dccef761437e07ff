"""A small project whose model is packaged for real: table, features, pipeline code, key, bundle."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.package import BundleContents, BundleRef, package
from trueup.bundle.signing import ensure_signing_key, public_key_path

PIPELINE = b'''
import numpy as np


class Model:
    """Scores 0.25 for a known broker, 0.5 for an unknown one; plus half the amount where that is in [0, 1)."""

    def predict_proba(self, frame):
        from parts.known import SCORE

        amount = frame["amount"].to_numpy()
        score = np.where(frame["broker"].cat.codes.to_numpy() >= 0, SCORE, 0.5)
        score = score + np.where((amount >= 0) & (amount < 1), amount / 2, 0.0)
        print("a model may print what it likes")
        return np.column_stack([1 - score, score])


def make():
    return Model()
'''
FEATURES = (FeatureSpec("amount", "number"), FeatureSpec("broker", "category", ("a", "b")))


@contextmanager
def own_pipeline(folder: Path, code: bytes) -> Iterator[Any]:
    """Give a project's ``pipeline.py`` as a module that pickles refer to by its name."""
    (folder / "pipeline.py").write_bytes(code)
    spec = importlib.util.spec_from_file_location("pipeline", folder / "pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pipeline"] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules["pipeline"]


@pytest.fixture
def answering_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Return what puts a program in the place of Python: it gives these bytes, one for each message, and then waits.

    With `until_told` it waits for the end of its input, as a well-behaved one does; else for ever.
    """

    def put(*answers: bytes, until_told: bool = False) -> None:
        program = tmp_path / "program"
        program.write_text(
            f"#!{sys.executable}\n"
            "import os, sys, threading\n"
            "from trueup.bundle.wire import receive\n"
            f"for answer in {answers!r}:\n"
            "    receive(sys.stdin.buffer)\n"
            "    sys.stdout.buffer.write(answer)\n"
            "    sys.stdout.buffer.flush()\n"
            "os.close(1)\n"
            f"{'sys.stdin.buffer.read()' if until_told else 'threading.Event().wait()'}\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    return put


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pickle that refers to the project's own module, as the training process writes it."""
    folder = tmp_path_factory.mktemp("project")
    with own_pipeline(folder, PIPELINE) as module:
        (folder / "model.pickle").write_bytes(pickle.dumps(module.make()))
    return folder / "model.pickle"


@pytest.fixture(scope="session")
def contents(model_path: Path) -> BundleContents:
    """Return everything that goes into the bundle of the tests."""
    table = pa.table({"amount": [0.5, 20.0, None], "broker": ["a", "zzz", None]})
    return BundleContents(
        project="application-fraud",
        task="binary",
        model_version="1",
        charter_version=3,
        charter_digest="c" * 64,
        table_version="7",
        features=FEATURES,
        model_path=model_path,
        golden_requests=make_golden_requests(table, FEATURES),
        classes=("no", "yes"),
        code_revision=None,
        policy={"kind": "gain", "cutoff": 0.4},
        metrics={"auc": 0.75},
        recipe={"kind": "pipeline", "seed": 0},
        recipe_digest="d" * 64,
        reference={"scores": {"bins": [1, 2, 3]}},
        code={"pipeline.py": PIPELINE, "parts/__init__.py": b"", "parts/known.py": b"SCORE = 0.25\n"},
        cutoff=0.4,
    )


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a private key made for these tests."""
    return ensure_signing_key(tmp_path_factory.mktemp("keys") / "signing.pem")


@pytest.fixture(scope="session")
def trusted(signing_key: Path) -> list[Path]:
    """Return the public half of the key."""
    return [public_key_path(signing_key)]


@pytest.fixture(scope="session")
def bundle(contents: BundleContents, signing_key: Path, tmp_path_factory: pytest.TempPathFactory) -> BundleRef:
    """Return a packaged bundle that tests must leave as it is."""
    return package(contents, into=tmp_path_factory.mktemp("bundles"), signing_key=signing_key)


@pytest.fixture(scope="session")
def fast_contents(tmp_path_factory: pytest.TempPathFactory) -> BundleContents:
    """Return the contents of a logistic regression on two numbers, which refuses missing ones."""
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"amount": chance.normal(size=400), "age": chance.uniform(18, 90, 400)})
    outcome = (frame["amount"] + frame["age"] / 40 > 1.5).astype(int)
    path = tmp_path_factory.mktemp("regression") / "model.pickle"
    path.write_bytes(pickle.dumps(LogisticRegression().fit(frame, outcome)))
    features = (FeatureSpec("amount", "number"), FeatureSpec("age", "number"))
    return BundleContents(
        project="application-fraud",
        task="binary",
        model_version="2",
        charter_version=3,
        charter_digest="c" * 64,
        table_version="7",
        features=features,
        model_path=path,
        golden_requests=make_golden_requests(pa.Table.from_pandas(frame), features),
        classes=("no", "yes"),
        cutoff=0.4,
    )


@pytest.fixture(scope="session")
def fast_bundle(
    fast_contents: BundleContents, signing_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> BundleRef:
    """Return a packaged bundle that answers without its model; tests must leave it as it is."""
    return package(fast_contents, into=tmp_path_factory.mktemp("fast"), signing_key=signing_key)
