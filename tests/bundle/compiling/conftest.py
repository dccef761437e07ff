"""Frames as models meet them, and the comparison of a compiled model with its original.

Fits in these tests take one thread: OpenMP's idle threads spin, and tests run side by side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from trueup.bundle.compiling.model import CompiledModel, compile_model
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import Predictor, parse_plan

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]
FEATURES = (
    *(FeatureSpec(f"number_{place}", "number") for place in range(6)),
    FeatureSpec("colour", "category", ("blue", "green", "red")),
    FeatureSpec("size", "category", ("1", "10", "2", "3")),
    FeatureSpec("rare", "category", tuple(f"r{place:02d}" for place in range(30))),
)
EDGES = (np.nan, 0.0, -0.0, 1 - 2**-53, 1e300, -1e300, 1.7e308, 1e-310, -1.0, 0.5, 3.0)


@dataclass(frozen=True)
class Rows:
    """Decoded rows: numbers, and positions of categories with NaN for a missing one."""

    matrix: Numbers

    @property
    def frame(self) -> pd.DataFrame:
        """Return the frame that a model takes, as `bundle.frames` makes it."""
        import pandas as pd

        columns: dict[str, Any] = {}
        for feature, numbers in zip(FEATURES, self.matrix.T, strict=True):
            columns[feature.name] = numbers.copy()
            if feature.kind == "category":
                codes = np.where(np.isnan(numbers), -1, numbers).astype(np.int64)
                known = pd.CategoricalDtype(pd.Index(feature.categories, dtype=object), ordered=False)
                columns[feature.name] = pd.Categorical.from_codes(codes, dtype=known)
        return pd.DataFrame(columns)


@dataclass(frozen=True)
class Compared:
    """What came out of a compiled model beside what came out of the original."""

    given: Numbers
    expected: Numbers
    one_by_one: Numbers

    @property
    def largest_difference(self) -> float:
        """Absolute below 1, relative above."""
        with np.errstate(invalid="ignore"):
            apart = np.abs(self.given - self.expected) / np.maximum(1.0, np.abs(self.expected))
        return float(np.nanmax(np.where(self.given == self.expected, 0.0, apart)))

    @property
    def same_refusals(self) -> bool:
        """Whether exactly the rows that the original refuses are NaN."""
        return bool(np.array_equal(np.isnan(self.given), np.isnan(self.expected)))

    @property
    def same_bits_one_by_one(self) -> bool:
        """Whether one row and many rows give the same."""
        return self.given.tobytes() == self.one_by_one.tobytes()


def made_rows(count: int, seed: int) -> Rows:
    """Return rows like those that models are trained on: scales from a thousandth to a hundred, some values missing."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(count, 6)) * 10.0 ** np.arange(-3, 3)
    numbers[draw.random(numbers.shape) < 0.05] = np.nan
    sizes = [len(feature.categories) for feature in FEATURES if feature.kind == "category"]
    codes = np.column_stack([draw.integers(-1, size, size=count) for size in sizes]).astype(np.float64)
    codes[codes < 0] = np.nan
    return Rows(np.hstack([numbers, codes]))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Hold OpenMP at one thread."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def training() -> Rows:
    """Return rows to fit on."""
    return made_rows(1500, seed=1)


@pytest.fixture(scope="session")
def outcome(training: Rows) -> Callable[[str], Numbers]:
    """Return the outcome of the training rows for a task."""
    draw = np.random.default_rng(2)
    signal = np.nan_to_num(training.matrix[:, 3]) + (training.matrix[:, 6] == 2) + draw.normal(size=1500)
    made = {
        "binary": (signal > 0.5).astype(np.float64),
        "multiclass": np.digitize(signal, [0.0, 1.0]).astype(np.float64),
        "regression": np.exp(signal / 3),
    }
    return made.__getitem__


@pytest.fixture(scope="session")
def later() -> Rows:
    """Return rows to answer: ordinary ones, and each edge value in each column of numbers."""
    ordinary, edges = made_rows(300, seed=3).matrix, made_rows(6 * len(EDGES), seed=4).matrix
    for place in range(6):
        edges[place * len(EDGES) : (place + 1) * len(EDGES), place] = EDGES
    nothing = np.full((1, len(FEATURES)), np.nan)
    return Rows(np.vstack([ordinary, edges, nothing]))


def open_model(compiled: CompiledModel, features: Sequence[FeatureSpec]) -> Predictor:
    """Return the predictor, from the bytes that a bundle would hold."""
    assert compiled.document is not None, compiled.slow_parts
    document = parse_plan(json.dumps(compiled.document, allow_nan=False).encode())
    return open_compiled(document, compiled.files, features=features)


def original_answers(model: Any, frame: pd.DataFrame, *, task: str) -> Numbers:
    """Return what the original gives, NaN for the rows that it refuses."""

    def ask(rows: pd.DataFrame) -> Numbers:
        if task == "regression":
            return np.asarray(model.predict(rows), dtype=np.float64).reshape(len(rows), -1)
        chances = np.asarray(model.predict_proba(rows), dtype=np.float64)
        if task == "binary":
            return chances[:, 1:]
        spread = np.zeros((len(rows), 3))  # a class that training never met has probability 0
        spread[:, np.asarray(model.classes_).astype(np.int64)] = chances
        return spread

    with np.errstate(all="ignore"):
        answers = _answers_or_none(ask, frame)
    width = next(len(answer) for answer in answers if answer is not None)
    return np.array([np.full(width, np.nan) if answer is None else answer for answer in answers])


def _answers_or_none(ask: Callable[[pd.DataFrame], Numbers], rows: pd.DataFrame) -> list[Numbers | None]:
    """Ask for all rows at once, and for halves where the original raises."""
    try:
        return list(ask(rows))
    except ValueError:
        middle = len(rows) // 2
        if not middle:
            return [None]
    return _answers_or_none(ask, rows.iloc[:middle]) + _answers_or_none(ask, rows.iloc[middle:])


Compare = Callable[..., Compared]


@pytest.fixture
def compare(later: Rows) -> Compare:
    """Return what compares a fitted model with its compiled self on the later rows."""

    def run(model: Any, *, task: str = "binary") -> Compared:
        compiled = compile_model(model, FEATURES, task=task, n_classes=3 if task == "multiclass" else 2)
        assert compiled.slow_parts == ()
        predictor = open_model(compiled, FEATURES)
        one_by_one = np.array([predictor.score_row(row) for row in later.matrix])
        return Compared(predictor.score_rows(later.matrix), original_answers(model, later.frame, task=task), one_by_one)

    return run
