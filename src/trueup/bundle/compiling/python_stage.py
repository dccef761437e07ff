"""How does a part of a model run in Python between compiled parts? On the very container that the original hands it.

Such a stage opens only in the process that holds the unpickled model. pandas and scipy are imported when a part takes
their containers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.locating import part_at
from trueup.bundle.errors import ModelFailed
from trueup.bundle.predictors.predictor import Opener, Stage
from trueup.kernel.errors import TrueupError

Numbers = NDArray[np.float64]
_WHOLE = "biu"
"""Kinds of dtype that have no missing value."""


@dataclass(frozen=True)
class ColumnType:
    """One column of a container."""

    name: str | None
    """In a data frame, its name."""
    dtype: str
    """A NumPy dtype, or category."""
    texts: tuple[str | None, ...] | None = None
    """Where the column stands as positions: the text of each, for objects last what is missing."""


class Handing:
    """Makes the container that a part takes out of rows of numbers.

    Parameters
    ----------
    columns : sequence of ColumnType
        In order.
    container : str
        frame, array or sparse.
    """

    def __init__(self, columns: Sequence[ColumnType], container: str) -> None:
        if container not in {"frame", "array", "sparse"}:
            raise ValueError("a part takes a frame, an array or a sparse matrix")
        self._columns = tuple(columns)
        self._container = container
        self._texts = [_texts_of(column) for column in columns]
        kinds = {c.dtype for c in columns}
        self._dtype = np.dtype(object) if kinds & {"object", "category"} else np.result_type(*map(np.dtype, kinds))
        self._whole = [i for i, c in enumerate(columns) if c.texts is None and np.dtype(c.dtype).kind in _WHOLE]
        self._categories = {i: _categorical_type(c) for i, c in enumerate(columns) if c.dtype == "category"}

    def possible(self, rows: Numbers) -> NDArray[np.bool_]:
        """Return which rows can be handed over: whole numbers are never missing in a row that the original takes."""
        return np.asarray(~np.isnan(rows[:, self._whole]).any(axis=1))

    def hand(self, rows: Numbers) -> Any:
        """Return a container of its own for rows, shape (n, columns)."""
        if self._container == "frame":
            return self._frame(rows)
        array = np.empty(rows.shape, dtype=self._dtype)
        for place, column in enumerate(self._columns):
            array[:, place] = self._values(rows, place, column)
        if self._container == "array":
            return array
        from scipy.sparse import csr_matrix

        return csr_matrix(array)

    def _frame(self, rows: Numbers) -> Any:
        import pandas as pd

        columns = {column.name: self._values(rows, place, column) for place, column in enumerate(self._columns)}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)), copy=False)

    def _values(self, rows: Numbers, place: int, column: ColumnType) -> Any:
        values, texts = rows[:, place], self._texts[place]
        if texts is None:
            return values.astype(column.dtype)
        codes = np.where(np.isnan(values), -1, values).astype(np.int64)
        if place not in self._categories or self._container != "frame":
            return texts[codes]
        import pandas as pd

        return pd.Categorical.from_codes(codes, dtype=self._categories[place])


class PythonStage:
    """A stage that asks parts of the model itself; its last number is NaN where they refuse the row, else 0.

    Parameters
    ----------
    parts : sequence of object
        Fitted; each takes what the one before gives.
    document : mapping
        A stage of kind ``python``, as `keeping` writes it.
    """

    def __init__(self, parts: Sequence[Any], document: Mapping[str, Any]) -> None:
        self._parts = tuple(parts)
        self._method = str(document["method"])
        self._handing = Handing(columns_from(document["takes"]), document["container"])
        self._meant = [(column.name, column.texts) for column in columns_from(document["gives"])]

    def one(self, row: Numbers) -> Numbers:
        """Return the answer to one row."""
        return np.asarray(self.many(row[None])[0])

    def many(self, matrix: Numbers) -> Numbers:
        """Return the answers to many rows, asked together, and in halves where the parts raise."""
        answers = np.full((len(matrix), len(self._meant) + 1), np.nan)
        places = np.flatnonzero(self._handing.possible(matrix))
        self._answer(np.asarray(matrix), places, answers)
        return answers

    def _answer(self, matrix: Numbers, places: NDArray[np.int64], answers: Numbers) -> None:
        if not len(places):
            return
        try:
            given = run_parts(self._parts, self._handing.hand(matrix[places]), method=self._method)
        except TrueupError:
            raise
        except Exception:  # noqa: BLE001 - the part is foreign code; the rows that it refuses are told by NaN
            if len(places) > 1:
                middle = len(places) // 2
                self._answer(matrix, places[:middle], answers)
                self._answer(matrix, places[middle:], answers)
            return
        answers[places, :-1] = self._numbers(given, count=len(places))
        answers[places, -1] = 0.0

    def _numbers(self, given: Any, *, count: int) -> Numbers:
        try:
            if [(c.name, c.texts) for c in describe(given)] == self._meant and given.shape[0] == count:
                return numbers_of(given)
            found = "other columns"
        except TypeError as error:
            found = f"something else ({error})"
        raise ModelFailed(
            f"a part of the model that stays in Python gave {found} than when it was packaged; what it gives must not "
            "depend on the rows: write it so, then train and package the model again"
        )


def open_python(model: Any) -> Opener:
    """Return what opens stages of kind ``python`` in the process that holds a model."""

    def opener(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> Stage:
        return PythonStage([part_at(model, place) for place in stage["parts"]], stage)

    return opener


def run_parts(parts: Sequence[Any], container: Any, *, method: str) -> Any:
    """Return what the last part gives; an estimator's answer as an array, of two classes the second's probability."""
    for part in parts[:-1]:
        container = part.transform(container)
    if method == "transform":
        return parts[-1].transform(container)
    if method == "predict_proba":
        chances = np.asarray(parts[-1].predict_proba(container), dtype=np.float64)
        return chances[:, 1:] if chances.shape[1] == 2 else chances
    return np.asarray(parts[-1].predict(container), dtype=np.float64).reshape(container.shape[0], -1)


def describe(given: Any) -> tuple[ColumnType, ...]:
    """Return the columns of what a part gives.

    Raises
    ------
    TypeError
        When they are no columns of numbers or of categories that are texts; the message says what they are.
    """
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        return tuple(_described(str(name), dtype) for name, dtype in zip(given.columns, given.dtypes, strict=True))
    if len(getattr(given, "shape", ())) != 2:
        raise TypeError(f"it gives no table but {type(given).__name__}")
    return (ColumnType(None, _plain(given.dtype)),) * int(given.shape[1])


def numbers_of(given: Any) -> Numbers:
    """Return what a part gives as numbers, a category as its position and NaN where it is missing."""
    if hasattr(given, "iloc"):
        return np.column_stack([_read(series) for _, series in given.items()])
    return np.asarray(given.toarray() if hasattr(given, "toarray") else given, dtype=np.float64)


def columns_document(columns: Sequence[ColumnType]) -> list[dict[str, Any]]:
    """Return columns as JSON values; `columns_from` reads them."""
    return [asdict(column) for column in columns]


def columns_from(document: Sequence[Mapping[str, Any]]) -> tuple[ColumnType, ...]:
    """Return the columns of a document."""
    return tuple(
        ColumnType(one["name"], str(one["dtype"]), None if one["texts"] is None else tuple(one["texts"]))
        for one in document
    )


def _described(name: str, dtype: Any) -> ColumnType:
    if dtype != "category":
        return ColumnType(name, _plain(dtype))
    texts = tuple(dtype.categories)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("it gives categories that are no texts")
    return ColumnType(name, "category", texts)


def _plain(dtype: Any) -> str:
    """Return the name of a dtype of numbers."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "fbiu" or dtype.itemsize > 8 or dtype == np.float16:
        raise TypeError(f"it gives a column of type {dtype}")
    return dtype.name


def _read(series: Any) -> Numbers:
    if series.dtype == "category":
        codes = np.asarray(series.cat.codes, dtype=np.float64)
        return np.where(codes < 0, np.nan, codes)
    return np.asarray(series, dtype=np.float64)


def _texts_of(column: ColumnType) -> NDArray[Any] | None:
    """Return the text at each position, and last what stands for a missing one."""
    if column.texts is None:
        return None
    missing = [np.nan] if column.dtype == "category" else []
    return np.array([*(np.nan if text is None else text for text in column.texts), *missing], dtype=object)


def _categorical_type(column: ColumnType) -> Any:
    import pandas as pd

    return pd.CategoricalDtype(pd.Index(list(column.texts or ()), dtype=object), ordered=False)
