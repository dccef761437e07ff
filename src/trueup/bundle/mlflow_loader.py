"""How does MLflow open a bundle's model? It prepares raw rows as a bundle does, and gives the bundle's scores.

Copied into a bundle's ``model/code.zip`` beside `values` and `class_scores`, so that the folder needs neither Trueup
nor pyarrow: only NumPy, pandas, and what the model itself needs. MLflow calls `_load_pyfunc`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
import math
import pickle
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# relative, because the copy in a bundle stands in a package of its own
from .class_scores import model_scores
from .logged_types import TEXT, numbers_as_logged, texts_as_logged
from .values import FALSE_WORDS, MICROSECONDS_PER_DAY, TRUE_WORDS, category_text, read_date, read_number

SCHEMA_NAME = "schema.json"
CODE_NAME = "code.zip"
MODEL_NAME = "model.pkl"
_LOCK = threading.RLock()
_NOT_KNOWN = -1
Feature = Mapping[str, Any]


class BundledModel:
    """A bundle's model as MLflow uses it.

    Parameters
    ----------
    folder : Path
        The ``model/`` folder of a bundle, wherever it was copied.
    """

    def __init__(self, folder: Path) -> None:
        self._schema = json.loads((folder / SCHEMA_NAME).read_bytes())
        self._own_code = _OwnCode(folder / CODE_NAME)
        with self._own_code.importable():
            self._model = pickle.loads((folder / MODEL_NAME).read_bytes())  # noqa: S301 - whoever loads it trusts it

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64] | pd.DataFrame:
        """Return the scores of raw rows, the same as the bundle's.

        Parameters
        ----------
        frame : pandas.DataFrame
            The columns of the table; others are left out. Missing is None, NaN or NaT.

        Returns
        -------
        ndarray of float, shape (rows,), or DataFrame
            Binary: the positive class's probability. Regression: the number. Multiclass: one column a class.
        """
        task, classes = self._schema["task"], self._schema["classes"]
        prepared = prepare(frame, self._schema["features"])
        if not len(prepared):
            scores = np.empty((0, len(classes) if task == "multiclass" else 1))
        else:
            with self._own_code.importable(), _one_thread():
                scores = model_scores(self._model, prepared, task=task, n_classes=len(classes) or 2)
        return pd.DataFrame(scores, columns=classes, index=frame.index) if task == "multiclass" else scores[:, 0]


def prepare(frame: pd.DataFrame, features: Sequence[Feature]) -> pd.DataFrame:
    """Return the frame a model takes, from raw columns of any type that can be read as the feature's kind.

    The same values as `trueup.bundle.frames` gives (a test holds that).

    Raises
    ------
    KeyError
        When a column is missing.
    TypeError
        When a value is no number, date or text where one is expected.
    """
    columns = {f["name"]: _prepared(_column(frame, f["name"]), f) for f in features}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)


def _load_pyfunc(path: str) -> BundledModel:
    """Return the model of a folder; MLflow's entry point."""
    return BundledModel(Path(path))


class _OwnCode:
    """The project's modules, kept apart from those of the same names in other bundles."""

    def __init__(self, archive: Path) -> None:
        self._archive = str(archive)
        with zipfile.ZipFile(archive) as file:
            names = {path.partition("/")[0].removesuffix(".py") for path in file.namelist()}
        self._names = names - {__name__.partition(".")[0]}
        self._modules: dict[str, ModuleType] = {}

    @contextlib.contextmanager
    def importable(self) -> Iterator[None]:
        """Let these modules, and not another bundle's, answer to their names."""
        if not self._names:
            yield
            return
        with _LOCK:
            others = self._taken_out()
            sys.modules.update(self._modules)
            sys.path.insert(0, self._archive)
            try:
                yield
            finally:
                sys.path.remove(self._archive)
                self._modules = self._taken_out()
                sys.modules.update(others)

    def _taken_out(self) -> dict[str, ModuleType]:
        found = [name for name in sys.modules if name.partition(".")[0] in self._names]
        return {name: sys.modules.pop(name) for name in found}


def _one_thread() -> contextlib.AbstractContextManager[Any]:
    """Return what keeps sums in one order, so that the same rows give the same bits."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return contextlib.nullcontext()
    limits: contextlib.AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame.columns:
        raise KeyError(f'the model needs the column "{name}"; its cells may be missing, the column may not')
    column = frame[name]
    return column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column


def _prepared(column: pd.Series[Any], feature: Feature) -> Any:
    dtype = feature.get("dtype")
    if dtype == TEXT:
        return texts_as_logged([category_text(_plain(value)) for value in column.astype(object)])
    prepared = _PREPARE[feature["kind"]](column, feature)
    return numbers_as_logged(prepared, dtype) if dtype else prepared


def _number(column: pd.Series[Any], feature: Feature) -> NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _finite(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return _each(column, feature, _float)


def _boolean(column: pd.Series[Any], feature: Feature) -> NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _number(column, feature)
    return _each(column, feature, lambda value: _word(value) if isinstance(value, str) else _float(value))


def _date(column: pd.Series[Any], feature: Feature) -> NDArray[np.float64]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        moments = column.to_numpy(dtype="datetime64[us]")
        days = moments.astype(np.int64).astype(np.float64) / MICROSECONDS_PER_DAY
        return np.where(np.isnat(moments), np.nan, days)
    return _each(column, feature, lambda value: read_date(value.isoformat() if isinstance(value, dt.date) else value))


def _category(column: pd.Series[Any], feature: Feature) -> Any:
    places: dict[str | None, int] = {text: place for place, text in enumerate(feature["categories"])}
    codes = [places.get(category_text(_plain(value)), _NOT_KNOWN) for value in column.astype(object)]
    known = pd.CategoricalDtype(pd.Index(feature["categories"], dtype=object), ordered=False)
    return pd.Categorical.from_codes(np.array(codes, dtype=np.int32), dtype=known)


def _text(column: pd.Series[Any], feature: Feature) -> NDArray[np.object_]:
    values = [None if pd.isna(value) else value for value in column.astype(object)]
    if not all(value is None or isinstance(value, str) for value in values):
        raise TypeError(f'the column "{feature["name"]}" must hold text')
    return np.array([*values, None], dtype=object)[:-1]


_PREPARE: dict[str, Callable[[pd.Series[Any], Feature], Any]] = {
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "category": _category,
    "text": _text,
}


def _each(column: pd.Series[Any], feature: Feature, read: Callable[[Any], float]) -> NDArray[np.float64]:
    try:
        numbers = [math.nan if pd.isna(value) else read(_plain(value)) for value in column.astype(object)]
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f'the column "{feature["name"]}" holds a value that is no {feature["kind"]}') from None
    return _finite(np.array(numbers, dtype=np.float64))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return float(value) if isinstance(value, decimal.Decimal) else value


def _float(value: Any) -> float:
    return read_number(value)


def _word(value: str) -> float:
    word = value.lower()
    return 1.0 if word in TRUE_WORDS else 0.0 if word in FALSE_WORDS else math.nan


def _finite(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(numbers), numbers, np.nan)
