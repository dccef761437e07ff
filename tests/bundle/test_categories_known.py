"""Every text that an encoder of the model knows is found, wherever it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from trueup.bundle.categories_known import categories_known

NAMES = ["amount", "broker", "city"]
TEXTS = {"broker": ["a", "b"], "city": ["x", "y", "z"]}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Return one number and two texts."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "amount": rng.random(120),
            "broker": np.array(["a", "b"], dtype=object)[rng.integers(0, 2, 120)],
            "city": np.array(["x", "y", "z"], dtype=object)[rng.integers(0, 3, 120)],
        }
    )


def _columns() -> Any:
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer((StandardScaler(), ["amount"]), (texts, ["broker", "city"]))


def _by_place() -> Any:
    encoders = [("c", OrdinalEncoder(), [2]), ("b", OneHotEncoder(), [1])]
    return ColumnTransformer(encoders, remainder=StandardScaler())


_MODELS: dict[str, Any] = {
    "pipeline": make_pipeline(_columns(), LogisticRegression()),
    "by place": make_pipeline(_by_place(), LogisticRegression()),
    "union": make_pipeline(FeatureUnion([("one", _columns()), ("two", _columns())]), LogisticRegression()),
    "calibrated": CalibratedClassifierCV(make_pipeline(_columns(), LogisticRegression()), cv=2),
    "searched": GridSearchCV(make_pipeline(_columns(), LogisticRegression()), {"logisticregression__C": [1.0]}, cv=2),
    "voting": VotingClassifier([("m", make_pipeline(_columns(), LogisticRegression()))], voting="soft"),
    "stacked": StackingClassifier([("m", make_pipeline(_columns(), LogisticRegression()))], cv=2),
}


@pytest.mark.parametrize("name", _MODELS)
def test_the_texts_of_encoders_are_found_by_column(name: str, frame: pd.DataFrame) -> None:
    model = _MODELS[name].fit(frame, frame["amount"] > 0.5)

    known = categories_known(model, NAMES)

    assert known.texts == TEXTS
    assert known.typed == []


@pytest.mark.parametrize(
    "model",
    [HistGradientBoostingClassifier(max_iter=3), LGBMClassifier(n_estimators=3, verbose=-1)],
    ids=lambda model: type(model).__name__,
)
def test_boosting_on_pandas_categories_says_which_columns_must_be_categories(model: Any, frame: pd.DataFrame) -> None:
    typed = frame.assign(broker=frame["broker"].astype("category"), city=frame["city"].astype("category"))

    known = categories_known(model.fit(typed, frame["amount"] > 0.5), NAMES)

    assert known.texts == TEXTS
    assert known.typed == ["broker", "city"]


def test_a_model_without_texts_knows_none(frame: pd.DataFrame) -> None:
    known = categories_known(LogisticRegression().fit(frame[["amount"]], frame["amount"] > 0.5), ["amount"])

    assert (known.texts, known.typed) == ({}, [])
