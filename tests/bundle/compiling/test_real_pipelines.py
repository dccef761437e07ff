"""Whole pipelines as people write them, on three real data sets: compiled they answer ten thousand rows as before.

Beside the real rows stand the edge rows that packaging makes of them. Code of a project's own stays in Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import LinearSVC
from tests.bundle.compiling.conftest import Compared, original_answers
from xgboost import XGBClassifier

from trueup.bundle.compiling.model import CompiledModel, compile_model
from trueup.bundle.compiling.python_stage import open_python
from trueup.bundle.features import FeatureSpec, Kind
from trueup.bundle.frames import learn_features, prepare_frame, prepare_matrix, table_of_rows
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import Predictor

Numbers = np.ndarray[Any, np.dtype[np.float64]]
TRAINED_ON, ASKED, ALONE = 2_500, 10_000, 200
QUIET: dict[str, Any] = {"n_jobs": 1, "verbosity": -1}


@dataclass(frozen=True)
class Named:
    """A column with its kind."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class RealRows:
    """Rows of a real data set, in the order in which they were drawn."""

    table: pa.Table
    features: tuple[FeatureSpec, ...]
    outcome: Numbers

    def frame(self, rows: int) -> pd.DataFrame:
        """Return the frame on which a model is trained."""
        return prepare_frame(self.table.slice(0, rows), self.features)


def real_rows(table: pa.Table, kinds: dict[Kind, Sequence[str]], outcome: Any) -> RealRows:
    """Return as many rows as are asked for; categories are those of the rows that a model is trained on."""
    drawn = np.random.default_rng(0).permutation(table.num_rows)[:ASKED]
    table = table.take(drawn)
    named = [Named(name, kind) for kind, names in kinds.items() for name in names]
    learned = learn_features(table.slice(0, TRAINED_ON), named)
    return RealRows(table, tuple(learned), np.asarray(outcome, dtype=np.float64)[drawn])


CHARGES = ["tenure", "MonthlyCharges", "TotalCharges"]
CONTRACT = ["gender", "SeniorCitizen", "Partner", "InternetService", "OnlineSecurity", "Contract", "PaymentMethod"]
STAY = ["lead_time", "adults", "children", "previous_cancellations", "adr", "stays_in_week_nights"]
BOOKING = ["hotel", "meal", "country", "market_segment", "reserved_room_type", "customer_type", "agent"]
WEATHER = ["temp", "atemp", "hum", "windspeed", "hr"]
CALENDAR = ["season", "weekday", "weathersit", "workingday"]


@pytest.fixture(scope="module")
def churn(real_data: Path) -> RealRows:
    """Return customers; eleven have a blank where their charges should be."""
    table = pyarrow.csv.read_csv(
        real_data / "telco_churn" / "Telco-Customer-Churn.csv",
        convert_options=pyarrow.csv.ConvertOptions(column_types={"TotalCharges": pa.float64()}, null_values=[" "]),
    )
    return real_rows(table, {"number": CHARGES, "category": CONTRACT}, pc.equal(table["Churn"], "Yes"))


@pytest.fixture(scope="module")
def bookings(real_data: Path) -> RealRows:
    """Return hotel bookings, with more than a hundred countries and agents."""
    table = pq.read_table(real_data / "hotel_bookings" / "hotel_bookings.parquet")
    kinds: dict[Kind, Sequence[str]] = {
        "number": STAY,
        "category": BOOKING,
        "date": ["booking_date", "arrival_date"],
        "boolean": ["is_repeated_guest"],
    }
    return real_rows(table, kinds, table["is_canceled"])


@pytest.fixture(scope="module")
def hours(real_data: Path) -> RealRows:
    """Return hours of bicycle hire."""
    table = pq.read_table(real_data / "bike_sharing" / "hour.parquet")
    return real_rows(table, {"number": WEATHER, "category": CALENDAR, "date": ["dteday"]}, table["cnt"])


def hot(**settings: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **settings})


def codes(**settings: Any) -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **settings)


def scaled(*more: Any) -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), *more)


def filled(*more: Any) -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="most_frequent"), *more)


def columns(*parts: tuple[Any, Sequence[str]], **settings: Any) -> ColumnTransformer:
    return ColumnTransformer([(f"part{place}", step, names) for place, (step, names) in enumerate(parts)], **settings)


def logistic(**settings: Any) -> LogisticRegression:
    return LogisticRegression(max_iter=200, tol=1e-3, **settings)


def forest(**settings: Any) -> RandomForestClassifier:
    return RandomForestClassifier(30, min_samples_leaf=5, random_state=0, **settings)


def charge_per_month(frame: pd.DataFrame) -> pd.DataFrame:
    months = frame["tenure"].clip(lower=1)
    return frame.assign(per_month=frame["TotalCharges"] / months, new=(frame["tenure"] < 3).astype(int))


def days_and_nights(frame: pd.DataFrame) -> pd.DataFrame:
    arrival = pd.to_datetime(frame["arrival_date"], unit="D")
    return pd.DataFrame(
        {
            "ahead": frame["arrival_date"] - frame["booking_date"],
            "weekday": arrival.dt.dayofweek,
            "month": arrival.dt.month,
        }
    )


def around_the_clock(frame: pd.DataFrame) -> Any:
    angle = 2 * np.pi * np.asarray(frame, dtype=float) / 24
    return np.hstack([np.sin(angle), np.cos(angle)])


CHURN: dict[str, Callable[[], Any]] = {
    "scaled and one-hot, logistic": lambda: make_pipeline(columns((scaled(), CHARGES), (hot(), CONTRACT)), logistic()),
    "sparse one-hot, balanced logistic": lambda: make_pipeline(
        columns((scaled(), CHARGES), (filled(hot(sparse_output=True, drop="if_binary")), CONTRACT)),
        logistic(class_weight="balanced"),
    ),
    "calibrated forest": lambda: make_pipeline(
        columns((SimpleImputer(), CHARGES), (hot(), CONTRACT)),
        CalibratedClassifierCV(forest(), method="isotonic", cv=3),
    ),
    "target means, LightGBM": lambda: make_pipeline(
        columns((TargetEncoder(random_state=0), CONTRACT), remainder="passthrough"),
        LGBMClassifier(n_estimators=40, **QUIET),
    ),
    "one-hot, XGBoost": lambda: make_pipeline(
        columns((hot(), CONTRACT), remainder="passthrough"), XGBClassifier(n_estimators=40, max_depth=4, n_jobs=1)
    ),
    "gradient boosting of chosen columns": lambda: make_pipeline(
        columns((make_pipeline(SimpleImputer(), PowerTransformer()), CHARGES), (hot(), CONTRACT)),
        SelectKBest(k=12),
        GradientBoostingClassifier(n_estimators=40),
    ),
    "three voices": lambda: make_pipeline(
        columns((scaled(), CHARGES), (hot(), CONTRACT)),
        VotingClassifier(
            [("l", logistic()), ("f", forest()), ("h", HistGradientBoostingClassifier(max_iter=20))],
            voting="soft",
            weights=[1, 2, 3],
        ),
    ),
}
BOOKINGS: dict[str, Callable[[], Any]] = {
    "categories as they are, boosting": lambda: HistGradientBoostingClassifier(
        max_iter=40, categorical_features="from_dtype"
    ),
    "codes, boosting told which": lambda: make_pipeline(
        columns((codes(), BOOKING), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=40, categorical_features=list(range(len(BOOKING)))),
    ),
    "categories as they are, LightGBM": lambda: LGBMClassifier(n_estimators=40, **QUIET),
    "target means, forest": lambda: make_pipeline(
        columns((SimpleImputer(add_indicator=True), STAY), (TargetEncoder(random_state=0), BOOKING)), forest()
    ),
    "rare categories together, logistic": lambda: make_pipeline(
        columns(
            (make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=100), StandardScaler()), STAY),
            (hot(min_frequency=25, handle_unknown="infrequent_if_exist"), BOOKING),
        ),
        logistic(),
    ),
    "by kind, calibrated support vectors": lambda: CalibratedClassifierCV(
        make_pipeline(
            columns(
                (scaled(), make_column_selector(dtype_include="number")),
                (hot(), make_column_selector(dtype_include="category")),
            ),
            LinearSVC(C=0.01, random_state=0),
        ),
        cv=3,
    ),
    "a frame between, boosting": lambda: make_pipeline(
        columns((RobustScaler(), STAY), ("passthrough", BOOKING), verbose_feature_names_out=False).set_output(
            transform="pandas"
        ),
        HistGradientBoostingClassifier(max_iter=30, categorical_features="from_dtype"),
    ),
}
HOURS: dict[str, Callable[[], Any]] = {
    "boosting of counts": lambda: HistGradientBoostingRegressor(
        max_iter=50, loss="poisson", categorical_features="from_dtype"
    ),
    "forest": lambda: make_pipeline(
        columns((codes(), CALENDAR), (SimpleImputer(), WEATHER)), RandomForestRegressor(30, min_samples_leaf=3)
    ),
    "extra trees": lambda: make_pipeline(
        columns((hot(), CALENDAR), (SimpleImputer(), WEATHER)), ExtraTreesRegressor(20, min_samples_leaf=3)
    ),
    "logarithm of the outcome, ridge of products": lambda: TransformedTargetRegressor(
        make_pipeline(columns((scaled(PolynomialFeatures(2)), WEATHER), (hot(drop="first"), CALENDAR)), Ridge()),
        func=np.log1p,
        inverse_func=np.expm1,
    ),
    "bins, Poisson regression": lambda: make_pipeline(
        columns(
            (
                make_pipeline(SimpleImputer(), KBinsDiscretizer(8, quantile_method="averaged_inverted_cdf")),
                WEATHER,
            ),
            (hot(), CALENDAR),
        ),
        PoissonRegressor(max_iter=200),
    ),
    "LightGBM": lambda: LGBMRegressor(n_estimators=50, **QUIET),
}
IN_PART: dict[str, tuple[str, Callable[[], Any], str]] = {
    "charges by month before everything": (
        "churn",
        lambda: make_pipeline(
            FunctionTransformer(charge_per_month),
            columns((codes(), CONTRACT), remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=30),
        ),
        "charge_per_month is a function of your own",
    ),
    "days of the week from dates": (
        "bookings",
        lambda: make_pipeline(
            columns(
                (
                    make_pipeline(FunctionTransformer(days_and_nights), SimpleImputer()),
                    ["booking_date", "arrival_date"],
                ),
                (codes(), BOOKING),
                ("passthrough", STAY),
            ),
            LGBMClassifier(n_estimators=30, **QUIET),
        ),
        "days_and_nights is a function of your own",
    ),
    "the clock as a circle": (
        "hours",
        lambda: make_pipeline(
            columns(
                (FunctionTransformer(around_the_clock), ["hr"]),
                (StandardScaler(), ["temp", "hum"]),
                (hot(), CALENDAR),
            ),
            HistGradientBoostingRegressor(max_iter=40),
        ),
        "around_the_clock is a function of your own",
    ),
}


def fitted(model: Any, rows: RealRows) -> Any:
    return model.fit(rows.frame(TRAINED_ON), rows.outcome[:TRAINED_ON])


def opened(compiled: CompiledModel, model: Any, rows: RealRows) -> Predictor:
    assert compiled.document is not None, compiled.slow_parts
    more = {"python": open_python(model)} if compiled.slow_parts else None
    return open_compiled(compiled.document, compiled.files, features=rows.features, more=more)


def asked_and_expected(model: Any, predictor: Predictor, rows: RealRows, *, task: str) -> tuple[Numbers, Numbers]:
    """Return decoded rows and the original's answers: real rows as a table, then edge rows as requests."""
    few = rows.table.slice(0, 200)
    requests = make_golden_requests(few, rows.features)[200::5]
    edges = table_of_rows([json.loads(request) for request in requests], rows.features)
    asked = np.vstack(
        [
            prepare_matrix(rows.table, rows.features),
            predictor.decoder.decode_many(f"[{','.join(requests)}]".encode()),
        ]
    )
    answers = [original_answers(model, prepare_frame(one, rows.features), task=task) for one in (rows.table, edges)]
    return asked, np.vstack(answers)


def bits(answers: Numbers) -> bytes:
    """Return the bits of answers; a refusal is any NaN, whatever its sign."""
    return np.where(np.isnan(answers), np.nan, answers).tobytes()


def assert_same(model: Any, predictor: Predictor, rows: RealRows, *, task: str) -> None:
    asked, expected = asked_and_expected(model, predictor, rows, task=task)
    given = predictor.score_rows(asked)
    some = np.append(np.arange(ALONE), np.arange(len(rows.table), len(asked)))
    alone = np.array([predictor.score_row(row) for row in asked[some]])

    found = Compared(given, expected, alone)
    middle = 0.5 if task == "binary" else float(np.nanmedian(expected))
    assert found.largest_difference <= 1e-12
    assert found.same_refusals
    assert np.array_equal(given >= middle, expected >= middle)
    assert bits(given[some]) == bits(alone)
    assert len(np.unique(expected[: len(rows.table)])) > 50, "the model answers nearly the same for all rows"


def wholly_compiled(make: Callable[[], Any], rows: RealRows, *, task: str) -> None:
    model = fitted(make(), rows)
    compiled = compile_model(model, rows.features, task=task, n_classes=2)
    assert compiled.slow_parts == ()
    assert_same(model, opened(compiled, model, rows), rows, task=task)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CHURN)
def test_a_pipeline_over_customers_answers_as_before(name: str, churn: RealRows) -> None:
    wholly_compiled(CHURN[name], churn, task="binary")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BOOKINGS)
def test_a_pipeline_over_bookings_answers_as_before(name: str, bookings: RealRows) -> None:
    wholly_compiled(BOOKINGS[name], bookings, task="binary")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HOURS)
def test_a_regression_over_hours_answers_as_before(name: str, hours: RealRows) -> None:
    wholly_compiled(HOURS[name], hours, task="regression")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", IN_PART)
def test_with_own_code_in_python_a_real_pipeline_answers_as_before(name: str, request: pytest.FixtureRequest) -> None:
    data, make, reason = IN_PART[name]
    rows: RealRows = request.getfixturevalue(data)
    task = "regression" if data == "hours" else "binary"
    model = fitted(make(), rows)

    compiled = compile_model(
        model, rows.features, task=task, n_classes=2, tried_on=prepare_matrix(rows.table.slice(0, 100), rows.features)
    )

    assert [slow.reason for slow in compiled.slow_parts] == [reason]
    assert_same(model, opened(compiled, model, rows), rows, task=task)
