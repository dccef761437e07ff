"""Models of real data answer 10,000 random rows of their schema compiled, with the original's numbers and decisions."""

from __future__ import annotations

import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import learn_features, prepare_frame
from trueup.bundle.golden import make_golden_requests, mixed_edges
from trueup.bundle.loading import open_bundle
from trueup.bundle.package import BundleContents, package
from trueup.bundle.signing import ensure_signing_key, public_key_path

TRAINING_ROWS = 4_000
RANDOM_ROWS = 10_000
HOTEL_NOT_KNOWN_YET = ["booking_id", "booking_date", "arrival_date", "reservation_status", "reservation_status_date"]


def hotel_bookings(folder: Path) -> tuple[pa.Table, str]:
    table = pq.read_table(folder / "hotel_bookings" / "hotel_bookings.parquet")
    return table.drop_columns(HOTEL_NOT_KNOWN_YET), "is_canceled"


def bike_sharing(folder: Path) -> tuple[pa.Table, str]:
    table = pq.read_table(folder / "bike_sharing" / "hour.parquet")
    return table.drop_columns(["instant", "ts", "casual", "registered", "dteday", "yr"]), "cnt"


def kind_of(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_temporal(kind):
        return "date"
    return "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "category"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("read", "task", "estimator"),
    [
        pytest.param(
            hotel_bookings,
            "binary",
            HistGradientBoostingClassifier(max_iter=150, random_state=0, categorical_features="from_dtype"),
            id="hotel-pipeline",
        ),
        pytest.param(bike_sharing, "regression", HistGradientBoostingRegressor(random_state=0), id="bike-pipeline"),
    ],
)
def test_ten_thousand_random_rows_get_the_originals_decisions(
    read: Any, task: str, estimator: Any, real_data: Path, tmp_path: Path
) -> None:
    table, label = read(real_data)
    table = table.take(np.linspace(0, table.num_rows - 1, TRAINING_ROWS).astype(np.int64))
    inputs = table.drop_columns([label])
    named = [FeatureSpec(field.name, kind_of(field.type)) for field in inputs.schema]
    features = tuple(learn_features(inputs, named))
    model = estimator.fit(prepare_frame(inputs, features), table[label].to_numpy())
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    key = ensure_signing_key(tmp_path / "signing.pem")
    requests = make_golden_requests(inputs, features)
    contents = BundleContents(
        project="real",
        task=task,
        model_version="1",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="1",
        features=features,
        model_path=tmp_path / "model.pickle",
        golden_requests=requests,
        classes=("no", "yes") if task == "binary" else (),
        cutoff=0.4 if task == "binary" else None,
    )
    bundle = package(contents, into=tmp_path / "bundles", signing_key=key).path
    rows = list(islice(mixed_edges(inputs.slice(1_000, 500).to_pylist(), features), RANDOM_ROWS))
    keys = [public_key_path(key)]
    with open_bundle(bundle, trusted_keys=keys) as fast, open_bundle(bundle, trusted_keys=keys, original=True) as slow:
        kind = fast.predictor
        found, expected = fast.score_rows(rows), slow.score_rows(rows)
        by_table, by_original = fast.score_table(inputs), slow.score_table(inputs)

    assert kind == "compiled"
    assert len(requests) > 2_000
    assert [output is None for output in found] == [output is None for output in expected]
    pairs = np.array([(f[0], e[0]) for f, e in zip(found, expected, strict=True) if f and e])
    assert len(pairs) > RANDOM_ROWS / 2
    assert np.all(np.abs(pairs[:, 0] - pairs[:, 1]) <= 1e-12 * np.maximum(1, np.abs(pairs[:, 1])))
    middle = np.median(pairs[:, 1]) if task == "regression" else 0.4
    assert np.array_equal(pairs[:, 0] >= middle, pairs[:, 1] >= middle)
    np.testing.assert_allclose(by_table, by_original, rtol=1e-12, atol=1e-12)
