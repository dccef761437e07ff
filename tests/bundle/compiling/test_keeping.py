"""Code of a user's own stays in Python, and only that: what stands around it is compiled and gives the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from tests.bundle.compiling.conftest import FEATURES, Compared, Rows, open_model, original_answers

from trueup.bundle.compiling.model import CompiledModel, compile_model
from trueup.bundle.compiling.python_stage import open_python
from trueup.bundle.errors import BadManifest, ModelFailed
from trueup.bundle.predictors.opening import open_compiled

NUMBERS = [f"number_{place}" for place in range(6)]
CATEGORIES = ["colour", "size", "rare"]


def add_ratio(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ratio=frame["number_3"] / frame["number_4"], missing=frame[NUMBERS].isna().sum(axis=1))


def ratio_only(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["number_3"]].div(frame["number_4"], axis=0)


def name_shades(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(shade=np.where(frame["colour"] == "red", "warm", "cold"))


def refuse_large(frame: pd.DataFrame) -> pd.DataFrame:
    if (frame["number_3"] > 1e200).any():
        raise ValueError("too large")
    return frame


def center_by_batch(frame: pd.DataFrame) -> Any:
    return frame[NUMBERS].fillna(0.0) - frame[NUMBERS].fillna(0.0).mean()


def columns_by_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[NUMBERS].dropna(axis=1, how="all")


def add_one_more(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(more=0.0)


def texts_only(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["colour"]].astype(object)


class Clipper(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A transformer of the project's own, on arrays."""

    def fit(self, rows: Any, outcome: Any = None) -> Clipper:
        self.limits_ = np.nanquantile(np.asarray(rows, dtype=float), [0.05, 0.95], axis=0)
        return self

    def transform(self, rows: Any) -> Any:
        return np.clip(np.asarray(rows, dtype=float), *self.limits_)


def own(function: Any) -> FunctionTransformer:
    return FunctionTransformer(function)


def linear() -> LogisticRegression:
    return LogisticRegression(C=0.1, max_iter=200, tol=0.05)


def hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def filled(*steps: Any) -> Any:
    return make_pipeline(SimpleImputer(), *steps)


CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)


def columns(*extra: Any) -> ColumnTransformer:
    return ColumnTransformer([("numbers", filled(StandardScaler()), NUMBERS), ("texts", hot(), CATEGORIES), *extra])


MODELS: dict[str, Any] = {
    "a function over the whole frame": make_pipeline(
        own(add_ratio),
        ColumnTransformer([("c", CODES, CATEGORIES)], remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=5),
    ),
    "a function in one branch": make_pipeline(
        columns(("ratio", own(ratio_only), ["number_3", "number_4"])), HistGradientBoostingClassifier(max_iter=5)
    ),
    "a class of the project in one branch": make_pipeline(
        columns(("clipped", make_pipeline(Clipper(), SimpleImputer()), NUMBERS)), linear()
    ),
    "texts that an encoder reads": make_pipeline(
        columns(("shade", make_pipeline(own(texts_only), hot()), ["colour"])), RandomForestClassifier(5, max_depth=4)
    ),
    "a function that refuses rows": make_pipeline(own(refuse_large), columns(), linear()),
    "a model that has no instructions": make_pipeline(columns(), KNeighborsClassifier(3, algorithm="kd_tree")),
    "one voice of several": make_pipeline(
        columns(), VotingClassifier([("l", linear()), ("k", KNeighborsClassifier(3))], voting="soft")
    ),
    "texts in every step before the model": make_pipeline(
        own(name_shades), ColumnTransformer([("h", hot(), ["colour", "shade"]), ("n", filled(), NUMBERS)]), linear()
    ),
}
SLOW = {
    "a function over the whole frame": "functiontransformer (FunctionTransformer(add_ratio))",
    "a function in one branch": "columntransformer (ColumnTransformer) > ratio (FunctionTransformer(ratio_only))",
    "a class of the project in one branch": (
        "columntransformer (ColumnTransformer) > clipped (Pipeline) > clipper (Clipper)"
    ),
    "texts that an encoder reads": (
        "columntransformer (ColumnTransformer) > shade (Pipeline) > "
        "functiontransformer (FunctionTransformer(texts_only))"
    ),
    "a function that refuses rows": "functiontransformer (FunctionTransformer(refuse_large))",
    "a model that has no instructions": "kneighborsclassifier (KNeighborsClassifier)",
    "one voice of several": "votingclassifier (VotingClassifier) > k (KNeighborsClassifier)",
    "texts in every step before the model": "functiontransformer (FunctionTransformer(name_shades))",
}


def kept(model: Any, rows: Rows, *, task: str = "binary") -> CompiledModel:
    return compile_model(model, FEATURES, task=task, n_classes=2, tried_on=rows.matrix[:60])


def compared(model: Any, rows: Rows, later: Rows, *, task: str = "binary") -> Compared:
    compiled = kept(model, rows, task=task)
    assert compiled.document is not None, compiled.slow_parts
    predictor = open_compiled(compiled.document, compiled.files, features=FEATURES, more={"python": open_python(model)})
    one_by_one = np.array([predictor.score_row(row) for row in later.matrix])
    return Compared(predictor.score_rows(later.matrix), original_answers(model, later.frame, task=task), one_by_one)


@pytest.mark.parametrize("name", MODELS)
def test_what_stands_around_a_part_in_python_answers_as_before(
    name: str, training: Rows, later: Rows, outcome: Any
) -> None:
    model = MODELS[name].fit(training.frame, outcome("binary"))

    found = compared(model, training, later)

    assert found.largest_difference <= 1e-12
    assert found.same_refusals
    assert found.same_bits_one_by_one


@pytest.mark.parametrize("name", MODELS)
def test_the_part_that_stays_in_python_is_named_by_its_path(name: str, training: Rows, outcome: Any) -> None:
    model = MODELS[name].fit(training.frame, outcome("binary"))

    [slow] = kept(model, training).slow_parts

    assert slow.part == SLOW[name]


def test_a_regressor_that_has_no_instructions_stays_in_python(training: Rows, later: Rows, outcome: Any) -> None:
    model = make_pipeline(columns(), KNeighborsRegressor(3)).fit(training.frame, outcome("regression"))

    found = compared(model, training, later, task="regression")

    assert (found.largest_difference, found.same_refusals) == (0.0, True)


def test_only_the_branch_with_own_code_is_given_to_python(training: Rows, outcome: Any) -> None:
    model = MODELS["a function in one branch"].fit(training.frame, outcome("binary"))

    document = kept(model, training).document

    assert document is not None
    [stage] = [one["stage"] for one in document["stages"][0]["instructions"] if one.get("stage", {}).get("parts")]
    assert [column["name"] for column in stage["takes"]] == ["number_3", "number_4"]
    assert stage["parts"] == [["steps", 0, 1, "transformers_", 2, 1]]


def test_a_server_refuses_a_predictor_with_a_part_in_python(training: Rows, outcome: Any) -> None:
    model = MODELS["a function in one branch"].fit(training.frame, outcome("binary"))

    with pytest.raises(BadManifest, match=r"stage 0 \(program\) cannot be opened"):
        open_model(kept(model, training), FEATURES)


def test_a_function_whose_columns_change_with_the_rows_is_not_cut_out(training: Rows, outcome: Any) -> None:
    boosted = HistGradientBoostingClassifier(max_iter=5)
    model = make_pipeline(own(columns_by_rows), boosted).fit(training.frame, outcome("binary"))

    compiled = kept(model, training)

    assert compiled.document is None
    assert "it cannot be cut out: its columns or their types change with the rows" in compiled.slow_parts[0].reason


def test_a_function_of_the_whole_batch_gives_other_bits_alone(training: Rows, later: Rows, outcome: Any) -> None:
    model = make_pipeline(own(center_by_batch), linear()).fit(training.frame, outcome("binary"))

    assert not compared(model, training, later).same_bits_one_by_one


def test_a_whole_model_of_the_projects_own_stays_the_original(training: Rows, outcome: Any) -> None:
    numbers = training.frame[NUMBERS].fillna(0.0)
    model = KNeighborsClassifier(3).fit(numbers, outcome("binary"))

    compiled = kept(model, training)

    assert compiled.document is None
    assert [slow.part for slow in compiled.slow_parts] == ["KNeighborsClassifier"]


def test_a_part_that_changes_its_columns_when_serving_fails_loudly(training: Rows, outcome: Any) -> None:
    model = MODELS["a function in one branch"].fit(training.frame, outcome("binary"))
    compiled = kept(model, training)
    assert compiled.document is not None
    predictor = open_compiled(compiled.document, compiled.files, features=FEATURES, more={"python": open_python(model)})
    model.named_steps["columntransformer"].named_transformers_["ratio"].func = add_one_more

    with pytest.raises(ModelFailed, match="gave other columns than when it was packaged"):
        predictor.score_row(np.zeros(len(FEATURES)))
