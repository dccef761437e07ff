"""Real estimators score in their own process exactly as they did where they were trained."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from trueup.bundle.errors import ModelFailed
from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import learn_features, prepare_frame
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.loading import open_bundle
from trueup.bundle.package import BundleContents, package
from trueup.bundle.sandbox import SandboxLevel
from trueup.bundle.scoring import ModelProcess
from trueup.bundle.wire import send

NAMED = [FeatureSpec("amount", "number"), FeatureSpec("broker", "category"), FeatureSpec("open", "boolean")]


def rows(count: int) -> pa.Table:
    random = np.random.default_rng(7)
    return pa.table(
        {
            "amount": random.lognormal(3, 2, count),
            "broker": random.choice(["a", "b", "c"], count),
            "open": random.random(count) < 0.5,
        }
    )


def boosted(frame: Any, outcome: NDArray[np.float64]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(frame, outcome)


def boosted_regression(frame: Any, outcome: NDArray[np.float64]) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=3, random_state=0).fit(frame, outcome)


def lightgbm(frame: Any, outcome: NDArray[np.float64]) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=3, random_state=0, verbose=-1, num_threads=1).fit(frame, outcome)


def linear_that_refuses_missing_values(frame: Any, outcome: NDArray[np.float64]) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = make_column_transformer((OneHotEncoder(), ["broker"]), ("passthrough", ["amount"]))
    return make_pipeline(columns, LogisticRegression()).fit(frame, outcome)


@pytest.mark.parametrize(
    ("fit", "task", "classes"),
    [
        (boosted, "multiclass", ("a", "b", "c", "never met")),
        (boosted_regression, "regression", ()),
        (lightgbm, "binary", ("no", "yes")),
        (linear_that_refuses_missing_values, "binary", ("no", "yes")),
    ],
)
def test_a_packaged_estimator_gives_the_same_bits(
    contents: BundleContents,
    signing_key: Path,
    trusted: list[Path],
    tmp_path: Path,
    fit: Callable[[Any, NDArray[np.float64]], Any],
    task: str,
    classes: tuple[str, ...],
) -> None:
    table = rows(400)
    features = tuple(learn_features(table, NAMED))
    outcome = np.arange(400.0) % (3 if task == "multiclass" else 2)
    frame = prepare_frame(table, features)
    with threadpool_limits(1):
        model = fit(frame, outcome)
        expected = model.predict(frame) if task == "regression" else model.predict_proba(frame)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    shipped = replace(
        contents,
        task=task,
        classes=classes,
        features=features,
        model_path=tmp_path / "model.pickle",
        golden_requests=make_golden_requests(table.slice(0, 50), features),
        code={},
    )

    reference = package(shipped, into=tmp_path / "bundles", signing_key=signing_key)
    with open_bundle(reference.path, trusted_keys=trusted, original=True) as opened:
        scores = opened.score_table(table)
    with open_bundle(reference.path, trusted_keys=trusted) as shipped_bundle:
        shipped_scores = shipped_bundle.score_table(table)

    if task == "binary":
        expected = expected[:, 1]
    if task == "multiclass":
        expected = np.column_stack([expected, np.zeros(400)])
    assert np.array_equal(scores, expected)
    assert shipped_bundle.predictor == "compiled"
    assert np.abs(shipped_scores - expected).max() <= 1e-12


def _message(head: Any, body: bytes = b"") -> bytes:
    pipe = io.BytesIO()
    send(pipe, head, body)
    return pipe.getvalue()


OPENED = _message({"sandbox": asdict(SandboxLevel(True, 6, True, True, True, 1 << 30))})


def _process(folder: Path) -> ModelProcess:
    return ModelProcess(folder, files={}, features=[FeatureSpec("amount", "number")], task="binary", n_classes=2)


@pytest.mark.parametrize(
    "answer",
    [
        _message({}),
        _message({"error": 5}),
        _message({"error": {}}),
        _message({"shape": [2], "refused": []}, b"12345678"),
        _message({"shape": [1], "refused": []}, b"1"),
        _message({"shape": [1], "refused": [1]}, b"12345678"),
        _message({"shape": "1", "refused": []}, b"12345678"),
    ],
)
def test_scores_of_another_shape_are_a_model_that_failed(
    answering_instead: Callable[..., None], tmp_path: Path, answer: bytes
) -> None:
    answering_instead(OPENED, answer, until_told=True)

    with (
        _process(tmp_path) as process,
        pytest.raises(ModelFailed, match="something else than was asked for"),
    ):
        process.score_requests(['{"amount":1}'])


@pytest.mark.parametrize("sandbox", [{}, {"sandbox": 5}, {"sandbox": {"holds": True}}])
def test_a_process_that_does_not_say_how_it_is_confined_is_not_used(
    answering_instead: Callable[..., None], tmp_path: Path, sandbox: dict[str, Any]
) -> None:
    answering_instead(_message(sandbox), until_told=True)

    with pytest.raises(ModelFailed, match="something else than was asked for"):
        _process(tmp_path)


def test_a_process_that_answers_with_garbage_and_waits_is_ended(
    answering_instead: Callable[..., None], tmp_path: Path
) -> None:
    answering_instead(OPENED, b"this is no message, and long enough to be one")

    with (
        _process(tmp_path) as process,
        pytest.raises(ModelFailed, match="gave no answer that can be read, and was ended"),
    ):
        process.measure(['{"amount":1}'])


def test_a_cost_without_numbers_is_a_model_that_failed(answering_instead: Callable[..., None], tmp_path: Path) -> None:
    answering_instead(OPENED, _message({"us_per_row": "fast"}), until_told=True)

    with (
        _process(tmp_path) as process,
        pytest.raises(ModelFailed, match="something else than was asked for"),
    ):
        process.measure(['{"amount":1}'])
