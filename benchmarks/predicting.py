"""What does one row cost a trained model, by each way of answering it?

200 trees, 30 numbers and 5 categories, one row at a time, another row each time; the median of five runs that take
turns. Every way is handed the row in its own form: the original a data frame of one row, Trueup's predictor decoded
numbers, or the bytes of a request. One thread each; CPU time, so that a busy machine does not count.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Figure, apart
from trueup.bundle.compiling.model import compile_model
from trueup.bundle.compiling.onnx_model import convert_to_onnx
from trueup.bundle.compiling.parts import Compiled, NotCompiled
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import FORMAT, Predictor

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]
Ask = Callable[[int], object]
TREES, TRAINING_ROWS, ROWS, RUNS = 200, 10_000, 1_000, 5
NUMBERS, SIZES = 30, (4, 8, 12, 20, 40)
_SLOW_CALLS = 25
"""Calls of a way that takes milliseconds, in each run."""
FEATURES = (
    *(FeatureSpec(f"n{place}", "number") for place in range(NUMBERS)),
    *(FeatureSpec(f"c{place}", "category", tuple(sorted(map(str, range(size))))) for place, size in enumerate(SIZES)),
)
CODED = tuple(FeatureSpec(feature.name, "number") for feature in FEATURES)
"""The same columns for a model that takes no categories: their positions as numbers."""


@dataclass(frozen=True)
class Subject:
    """A model to be asked."""

    make: Callable[[], Any]
    features: tuple[FeatureSpec, ...] = FEATURES
    target_us: float | None = None
    in_onnx: bool = False
    """Whether it is converted to ONNX too, which takes minutes for a large forest."""


def figures() -> Iterator[Figure]:
    """Yield the microseconds of a row for each model and each way of answering it."""
    for name in SUBJECTS:
        yield from apart(figures_of, name)


def figures_of(name: str) -> list[Figure]:
    """Fit one model and ask it in every way."""
    from threadpoolctl import threadpool_limits

    subject = SUBJECTS[name]
    unfitted = subject.make()  # loads its libraries, so that they are held to one thread too
    with threadpool_limits(limits=1):
        matrix = made_rows(TRAINING_ROWS + ROWS)
        fitted, asked = matrix[:TRAINING_ROWS], matrix[TRAINING_ROWS:]
        model = unfitted.fit(framed(fitted, subject.features), outcomes(fitted))
        compiled = opened(compile_model(model, subject.features, task="binary", n_classes=2), subject.features)
        largest = largest_difference(model, compiled.score_rows(asked), framed(asked, subject.features))
        ways = ways_of(model, compiled, asked, subject.features)
        refused = add_onnx(ways, model, asked, subject.features) if subject.in_onnx else ""
        spent = medians(ways)
    original = spent.pop("original")
    figures = [Figure(f"predict.{name}.original", original, "CPU us / row", note="predict_proba of a data frame")]
    for way, microseconds in spent.items():
        note = f"{original / microseconds:,.0f} times as fast"
        if way == "compiled":
            note += f"; {target(subject)}; largest difference {largest:.1g}"
        figures.append(Figure(f"predict.{name}.{way}", microseconds, "CPU us / row", "the original", original, note))
    if refused:
        figures.append(Figure(f"predict.{name}.onnx", 0, "answers", note=refused))
    return figures


def ways_of(
    model: Any, compiled: Predictor, rows: Numbers, features: Sequence[FeatureSpec]
) -> dict[str, tuple[Ask, int]]:
    """Return each way of asking for the row of a number, with its calls in a run."""
    frames = [framed(rows[place : place + 1], features) for place in range(_SLOW_CALLS * RUNS)]
    contiguous = [row.copy() for row in rows]
    requests = [request(row, features) for row in rows]
    ways: dict[str, tuple[Ask, int]] = {
        "original": (lambda place: model.predict_proba(frames[place % len(frames)]), _SLOW_CALLS),
        "compiled": (lambda place: compiled.score_row(contiguous[place]), ROWS),
        "from_bytes": (lambda place: compiled.score_request(requests[place]), ROWS),
    }
    if hasattr(model, "booster_"):
        ways["booster"] = (lambda place: model.booster_.predict(rows[place : place + 1], num_threads=1), ROWS // 10)
    if hasattr(model, "get_booster"):
        booster = model.get_booster()
        ask = partial(booster.inplace_predict, validate_features=False)
        ways["booster"] = (lambda place: ask(rows[place : place + 1]), ROWS // 10)
    return ways


def add_onnx(ways: dict[str, tuple[Ask, int]], model: Any, rows: Numbers, features: Sequence[FeatureSpec]) -> str:
    """Add ONNX Runtime to the ways where it answers as the original; return why it does not."""
    converted = in_onnx(model, features)
    if isinstance(converted, NotCompiled):
        return f"does not convert: {converted.reason}"
    largest = largest_difference(model, converted.score_rows(rows), framed(rows, features))
    if largest > 1e-12:
        return f"converts, but its answers differ by up to {largest:.2g}: never ships"
    contiguous = [row.copy() for row in rows]
    ways["onnx"] = (lambda place: converted.score_row(contiguous[place]), ROWS)
    return ""


def in_onnx(model: Any, features: Sequence[FeatureSpec]) -> Predictor | NotCompiled:
    """Return the model as ONNX Runtime answers it, or why it does not."""
    try:
        made = convert_to_onnx(model, features, task="binary")
        if isinstance(made, Compiled):
            plan = {"format": FORMAT, "outputs": 1, "stages": list(made.stages)}
            return open_compiled(plan, made.files, features=features)
    except Exception as error:  # noqa: BLE001 - a converter is foreign code: told, not raised
        return NotCompiled(type(model).__name__, f"{type(error).__name__} while converting")
    return made


def medians(ways: dict[str, tuple[Ask, int]]) -> dict[str, float]:
    """Return the median of the runs of each way, in microseconds a row; the ways take turns."""
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for run in range(-1, RUNS):
        for way, (ask, calls) in ways.items():
            first = max(run, 0) * calls % ROWS
            began = time.process_time()
            for place in range(first, first + calls):
                ask(place % ROWS)
            if run >= 0:  # the first one warms up
                spent[way].append(1e6 * (time.process_time() - began) / calls)
    return {way: statistics.median(found) for way, found in spent.items()}


def largest_difference(model: Any, given: Numbers, frame: pd.DataFrame) -> float:
    """Return how far answers lie from the original's; infinite where one is missing."""
    apart_by = np.abs(given[:, 0] - model.predict_proba(frame)[:, 1])
    return float(np.max(np.where(np.isnan(apart_by), np.inf, apart_by)))


def opened(compiled: Any, features: Sequence[FeatureSpec]) -> Predictor:
    """Return a model that compiled wholly as its predictor."""
    if compiled.document is None or compiled.slow_parts:
        raise AssertionError(f"it did not compile: {compiled.slow_parts}")
    return open_compiled(compiled.document, compiled.files, features=features)


def target(subject: Subject) -> str:
    """Return what is asked of the compiled predictor."""
    return f"at most {subject.target_us:g} us" if subject.target_us else "speed reported"


def made_rows(count: int) -> Numbers:
    """Return normal numbers and categories as positions, 3 % of all missing."""
    draw = np.random.default_rng(12)
    codes = [draw.integers(0, size, count).astype(np.float64) for size in SIZES]
    rows = np.column_stack([draw.normal(size=(count, NUMBERS)), *codes])
    rows[draw.random(rows.shape) < 0.03] = np.nan
    return rows


def outcomes(rows: Numbers) -> NDArray[np.int64]:
    """Return an outcome that depends on numbers and a category."""
    known = np.nan_to_num(rows)
    chance = known[:, 0] + known[:, 1] * known[:, 2] + known[:, -1] % 3
    return (chance + np.random.default_rng(13).normal(size=len(rows)) > 1).astype(np.int64)


def framed(rows: Numbers, features: Sequence[FeatureSpec]) -> pd.DataFrame:
    """Return rows as the data frame that the original takes."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for feature, numbers in zip(features, rows.T, strict=True):
        columns[feature.name] = numbers
        if feature.kind == "category":
            codes = np.where(np.isnan(numbers), -1, numbers).astype(np.int64)
            known = pd.CategoricalDtype(pd.Index(feature.categories, dtype=object))
            columns[feature.name] = pd.Categorical.from_codes(codes, dtype=known)
    return pd.DataFrame(columns)


def request(row: Numbers, features: Sequence[FeatureSpec]) -> bytes:
    """Return a row as a caller would send it."""
    values: dict[str, float | str | None] = {}
    for feature, number in zip(features, row.tolist(), strict=True):
        known = feature.categories[int(number)] if feature.kind == "category" and number == number else number  # noqa: PLR0124 - NaN
        values[feature.name] = None if number != number else known  # noqa: PLR0124 - NaN
    return json.dumps(values).encode()


def _hist_boosting(**settings: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=0, **settings)


def _gradient_boosting() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=TREES, random_state=0, subsample=0.5))


def _forest(max_depth: int | None = None) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, max_depth=max_depth, random_state=0, n_jobs=1)


def _lightgbm() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=TREES, n_jobs=1, verbosity=-1)


def _xgboost() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=TREES, n_jobs=1, enable_categorical=True)


def _behind_steps(make: Callable[[], Any]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    names = [feature.name for feature in FEATURES]
    steps = ColumnTransformer([("numbers", numbers, names[:NUMBERS]), ("categories", categories, names[NUMBERS:])])
    return make_pipeline(steps, make())


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200)


SUBJECTS: dict[str, Subject] = {
    "hist_boosting": Subject(partial(_hist_boosting, categorical_features="from_dtype"), FEATURES, 25),
    "boosting_of_numbers": Subject(_hist_boosting, CODED, 25, True),
    "gradient_boosting": Subject(_gradient_boosting, CODED, 60),
    "forest_any_depth": Subject(_forest, CODED, 25),
    "forest_depth_8": Subject(partial(_forest, 8), CODED, 25),
    "lightgbm": Subject(_lightgbm, FEATURES),
    "xgboost": Subject(_xgboost, FEATURES),
    "steps_hist_boosting": Subject(partial(_behind_steps, _hist_boosting), FEATURES, 60),
    "steps_forest_depth_8": Subject(partial(_behind_steps, partial(_forest, 8)), FEATURES, 60),
    "steps_linear": Subject(partial(_behind_steps, _linear), FEATURES, 60, True),
}
"""Every model, by its name among the figures."""
