"""A model with a function of the project's own ships partly compiled, and opens only where its model does."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.bundle.conftest import own_pipeline

from trueup.bundle.candidates import Offer
from trueup.bundle.errors import BadManifest, RowBreaksSchema
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import make_golden_requests, parse_golden
from trueup.bundle.latency import describe_latencies, read_latencies
from trueup.bundle.layout import PLAN
from trueup.bundle.loading import open_bundle, verify_bundle
from trueup.bundle.package import BundleContents, BundleRef, package
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import parse_plan
from trueup.bundle.scoring import ModelProcess

PIPELINE = b"""
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler


def ratio(frame):
    return (frame["amount"] / frame["income"]).to_frame("ratio")


def make():
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([
        ("numbers", StandardScaler(), ["amount", "income"]),
        ("ratio", make_pipeline(FunctionTransformer(ratio), StandardScaler()), ["amount", "income"]),
        ("broker", codes, ["broker"]),
    ])
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20, random_state=0))
"""
FEATURES = (
    FeatureSpec("amount", "number"),
    FeatureSpec("income", "number"),
    FeatureSpec("broker", "category", ("a", "b", "c")),
)
RATIO = (
    "columntransformer (ColumnTransformer) > ratio (Pipeline) > functiontransformer (FunctionTransformer(ratio)): "
    "ratio is a function of your own"
)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Return rows with missing numbers and incomes of 0, where the ratio is infinite and the scaler refuses it."""
    chance = np.random.default_rng(0)
    income = np.where(chance.random(250) < 0.1, 0.0, chance.gamma(2.0, 1_000.0, 250))
    amount = np.where(chance.random(250) < 0.1, np.nan, chance.gamma(2.0, 500.0, 250))
    return pa.table({"amount": amount, "income": income, "broker": chance.choice(["a", "b", "c"], 250)})


@pytest.fixture(scope="module")
def hybrid(rows: pa.Table, signing_key: Path, tmp_path_factory: pytest.TempPathFactory) -> BundleRef:
    """Return a packaged bundle whose model holds a function of the project's own."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("own")
    with own_pipeline(folder, PIPELINE) as module:
        frame = rows.to_pandas()
        frame["broker"] = pd.Categorical(frame["broker"], categories=["a", "b", "c"])
        kept = frame[frame["income"] > 0]
        model = module.make().fit(kept, (kept["amount"] / kept["income"] > 0.4).astype(int))
        (folder / "model.pickle").write_bytes(pickle.dumps(model))
    contents = BundleContents(
        project="application-fraud",
        task="binary",
        model_version="3",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="7",
        features=FEATURES,
        model_path=folder / "model.pickle",
        golden_requests=make_golden_requests(rows, FEATURES),
        classes=("no", "yes"),
        code={"pipeline.py": PIPELINE},
        cutoff=0.4,
    )
    return package(contents, into=tmp_path_factory.mktemp("hybrids"), signing_key=signing_key)


def test_only_the_own_function_stays_in_python_and_the_bundle_says_so(hybrid: BundleRef, trusted: list[Path]) -> None:
    with open_bundle(hybrid.path, trusted_keys=trusted) as opened:
        served = opened.manifest.predictor
        certificate = opened.certificate()

    assert (served.kind, served.slow_parts) == ("hybrid", (RATIO,))
    assert (certificate.predictor, certificate.differing, certificate.decisions_differ) == ("hybrid", 0, 0)


def test_the_table_of_packaging_says_what_kept_it_slow(hybrid: BundleRef) -> None:
    table = read_latencies(hybrid.path)

    assert table is not None
    assert describe_latencies(table)[-1] == f"  kept slow by {RATIO}"
    timing = {one.kind: one for one in table.candidates}
    assert (timing["hybrid"].us_per_row or 0) < (timing["original"].us_per_row or 0)


def test_a_hybrid_answers_requests_and_tables_as_its_original(
    hybrid: BundleRef, trusted: list[Path], rows: pa.Table
) -> None:
    told = [{k: None if v != v else v for k, v in row.items()} for row in rows.to_pylist()[:50]]  # noqa: PLR0124 - NaN
    requests = [*told, {"amount": None, "income": None, "broker": "unheard"}]
    with (
        open_bundle(hybrid.path, trusted_keys=trusted) as opened,
        open_bundle(hybrid.path, trusted_keys=trusted, original=True) as original,
    ):
        answered = opened.score_rows(requests)
        expected = original.score_rows(requests)
        scored = opened.score_table(rows)
        finite = rows.filter(pc.greater(rows["income"], 0))
        table, wanted = opened.score_table(finite), original.score_table(finite)

    assert (opened.predictor, original.predictor) == ("hybrid", "original")
    assert answered == expected
    assert None in answered
    assert table.tolist() == wanted.tolist()
    refused = np.isnan(scored)
    assert refused.any()
    assert (rows["income"].to_numpy()[refused] == 0).all()


def test_a_hybrid_names_the_field_that_breaks_the_schema(hybrid: BundleRef, trusted: list[Path]) -> None:
    with open_bundle(hybrid.path, trusted_keys=trusted) as opened:
        with pytest.raises(RowBreaksSchema, match='row 1 lacks "income"'):
            opened.score_rows([{"amount": 1.0, "income": 2.0, "broker": "a"}, {"amount": 1.0, "broker": "a"}])
        assert opened.score_rows([]) == []


def test_a_hybrid_is_refused_outside_the_process_of_its_model(hybrid: BundleRef) -> None:
    document = parse_plan((hybrid.path / PLAN).read_bytes())
    files = {file.name: file.read_bytes() for file in (hybrid.path / "predictor").iterdir()}

    with pytest.raises(BadManifest, match="cannot be opened"):
        open_compiled(document, files, features=FEATURES)


def test_a_plan_that_names_a_part_the_model_does_not_have_is_refused(hybrid: BundleRef, trusted: list[Path]) -> None:
    manifest = verify_bundle(hybrid.path, trusted_keys=trusted)
    text = (hybrid.path / PLAN).read_text()
    files = {file.name: file.read_bytes() for file in (hybrid.path / "predictor").iterdir() if file.name != "plan.json"}
    golden = parse_golden((hybrid.path / "golden.jsonl").read_bytes())
    wrong = json.loads(text.replace('"transformers_"', '"nowhere"'))
    with ModelProcess(
        hybrid.path, files=manifest.files, features=manifest.features, task="binary", n_classes=2
    ) as process:
        with pytest.raises(BadManifest, match="cannot be opened"):
            process.answer_by(Offer("hybrid", wrong, files), golden, cutoff=None, tolerance=1e-12)
        failed = process.try_offer(Offer("hybrid", wrong, files), golden, cutoff=None)

    assert (failed.proven, "cannot be opened" in failed.why_not) == (False, True)
