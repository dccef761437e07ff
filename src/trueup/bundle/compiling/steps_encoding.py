"""How do encoders of categories become tables? The fitted encoder itself is asked about every category, and no other.

An encoder treats each column by itself, so its answer to each value of a column is its answer in every row. What it
does with an unknown value, rare ones, a dropped one or a missing one is thereby exactly what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.tracing import UNKNOWN_TEXT, Block, Traced, Tracer, Uncompilable, encoded
from trueup.bundle.compiling.wrapping import given_by

_MOST_ANSWERS = 20_000_000
"""Numbers that an encoder may give for all values of its columns; 160 MB."""


def probe(
    tracer: Tracer,
    encoder: Any,
    block: Block,
    *,
    owners: Sequence[Sequence[int]],
    safe: Sequence[NDArray[Any]],
    path: str,
) -> Block:
    """Return the columns that an encoder gives, as tables.

    Parameters
    ----------
    encoder : transformer
        Treats each column by itself.
    block : Block
        Tables only, each with the values that may come.
    owners : sequence of sequences of int
        Which columns of the answer come from each column.
    safe : sequence of arrays
        For each column, values that the encoder surely takes.
    """
    width = sum(len(owned) for owned in owners)
    rows = sum(len(_domain(column)) for column in block.columns)
    if rows * width > _MOST_ANSWERS:
        raise Uncompilable(path, f"{rows} categories in {width} columns are too many for a table")
    base = [_first_known(column, known) for column, known in zip(block.columns, safe, strict=True)]
    answers: list[Traced | None] = [None] * width
    for place, column in enumerate(block.columns):
        if not owners[place]:
            continue
        size = len(_domain(column))
        picked = [np.arange(size) if other == place else np.full(size, base[other]) for other in range(len(base))]
        given, refused = _asked(encoder, block, picked, width=width)
        if refused.any():
            tracer.checks.append(tracer.table(column.slot, np.where(refused, np.nan, 0.0)))
        for index in owners[place]:
            answers[index] = tracer.table(column.slot, given[:, index], dtype=given.dtype.name)
    columns = [answer for answer in answers if answer is not None]
    return given_by(encoder, columns, path=path, sparse=_is_sparse(encoder))


def _asked(
    encoder: Any, block: Block, picked: Sequence[NDArray[np.int64]], *, width: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the encoder's answers, and the rows in which it raises."""
    size = len(picked[0])
    try:
        return _plain(encoder.transform(_container(block, picked))), np.zeros(size, dtype=bool)
    except Exception:  # noqa: BLE001 - the encoder refuses some value; which one is asked below
        refused = np.zeros(size, dtype=bool)
    given: NDArray[Any] = np.zeros((size, width))
    for row in range(size):
        try:
            given[row] = _plain(encoder.transform(_container(block, [places[row : row + 1] for places in picked])))[0]
        except Exception:  # noqa: BLE001 - what the encoder refuses is recorded, and refused when serving
            refused[row] = True
    return given, refused


def _container(block: Block, picked: Sequence[NDArray[np.int64]]) -> Any:
    values = [_domain(column)[places] for column, places in zip(block.columns, picked, strict=True)]
    if block.container != "frame":
        kinds = {column.dtype for column in block.columns}
        dtype = object if kinds & {"object", "category"} else np.result_type(*(np.dtype(kind) for kind in kinds))
        return np.column_stack([np.asarray(one, dtype=dtype) for one in values])
    import pandas as pd

    series = {
        column.name: _category(column, places) if column.dtype == "category" else np.asarray(one, dtype=column.dtype)
        for column, one, places in zip(block.columns, values, picked, strict=True)
    }
    return pd.DataFrame(series)


def _category(column: Traced, places: NDArray[np.int64]) -> Any:
    import pandas as pd

    known = pd.Index(list(_domain(column)[:-1]), dtype=object)
    codes = np.where(places == len(known), -1, places)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(known))


def _plain(answer: Any) -> NDArray[Any]:
    dense = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)
    return np.asarray(dense)


def _domain(column: Traced) -> NDArray[Any]:
    if column.values is None:
        raise TypeError("the column is no table")
    return column.values


def _first_known(column: Traced, known: NDArray[Any]) -> int:
    taken = set(known.tolist())
    return next((place for place, value in enumerate(_domain(column).tolist()) if value in taken), 0)


def _is_sparse(encoder: Any) -> bool:
    return bool(getattr(encoder, "sparse_output", False))


def position_columns(tracer: Tracer, block: Block, known: Sequence[NDArray[Any]], *, path: str) -> Block:
    """Return the block with each column of numbers as a table over those an encoder knows, and one it does not."""
    columns = []
    for column, values in zip(block.columns, known, strict=True):
        columns.append(column if column.values is not None else _positioned(tracer, column, values, path))
    return replace(block, columns=tuple(columns))


def _positioned(tracer: Tracer, column: Traced, known: NDArray[Any], path: str) -> Traced:
    try:
        numbers = np.asarray(known, dtype=np.float64)
    except (TypeError, ValueError):
        raise Uncompilable(path, "it knows texts where numbers come") from None
    missing, finite = np.isnan(numbers), np.sort(numbers[~np.isnan(numbers)])
    if not np.isfinite(finite).all() or not len(numbers):
        raise Uncompilable(path, "it knows an infinite category")
    (filled,) = tracer.emit("fill", [column.slot], 1, missing=None, by=["inf"])
    listed = np.append(finite, np.inf)
    (slot,) = tracer.emit("positions", [filled], 1, known=[encoded(listed)])
    unknown = finite[-1] + max(1.0, abs(finite[-1])) if len(finite) else 0.0
    domain = np.concatenate([finite, [np.nan], [unknown]])
    dtype = column.dtype if not missing.any() and column.dtype == "float32" else "float64"
    return Traced(slot, dtype, domain, column.name)


def _one_hot(tracer: Tracer, encoder: Any, block: Block, path: str) -> Block:
    owners = in_order(encoder._n_features_outs)
    return _encoded(tracer, encoder, block, owners=owners, path=path)


def _ordinal(tracer: Tracer, encoder: Any, block: Block, path: str) -> Block:
    return _encoded(tracer, encoder, block, owners=in_order([1] * len(block.columns)), path=path)


def _target(tracer: Tracer, encoder: Any, block: Block, path: str) -> Block:
    each = len(encoder.encodings_) // len(block.columns)
    return _encoded(tracer, encoder, block, owners=in_order([each] * len(block.columns)), path=path)


def _encoded(tracer: Tracer, encoder: Any, block: Block, *, owners: Sequence[Sequence[int]], path: str) -> Block:
    known = [np.asarray(one) for one in encoder.categories_]
    _refuse_unnamed(block, known, path)
    tables = position_columns(tracer, block, known, path=path)
    return probe(tracer, encoder, tables, owners=owners, safe=known, path=path)


def _refuse_unnamed(block: Block, known: Sequence[NDArray[Any]], path: str) -> None:
    """Refuse an encoder that knows a text which stands among the unknown ones here: it would tell it from them."""
    for column, values in zip(block.columns, known, strict=True):
        if column.values is None or UNKNOWN_TEXT not in column.values.tolist():
            continue
        if not {value for value in values.tolist() if isinstance(value, str)} <= set(column.values.tolist()):
            raise Uncompilable(path, f'it knows texts of "{column.name}" that the schema does not have')


def in_order(counts: Sequence[int]) -> list[list[int]]:
    """Return which columns of an answer come from each column, where each gives so many, one after the other."""
    ends = np.cumsum([0, *counts]).tolist()
    return [list(range(ends[place], ends[place + 1])) for place in range(len(counts))]


def impute_objects(tracer: Tracer, imputer: Any, block: Block, path: str) -> Block:
    """Return the columns behind an imputer of texts; raises `Uncompilable` where numbers stand among them."""
    if any(column.values is None for column in block.columns):
        raise Uncompilable(path, "an imputer of texts and numbers together is not compiled")
    statistics = np.asarray(imputer.statistics_, dtype=object)
    kept = [
        place
        for place, value in enumerate(statistics.tolist())
        if imputer.keep_empty_features or (value is not None and value == value)  # noqa: PLR0124 - NaN
    ]
    owners: list[list[int]] = [[kept.index(place)] if place in kept else [] for place in range(len(block.columns))]
    if imputer.add_indicator:
        for index, place in enumerate(imputer.indicator_.features_):
            owners[int(place)].append(len(kept) + index)
    safe = [_domain(column)[:1] for column in block.columns]
    return probe(tracer, imputer, block, owners=owners, safe=safe, path=path)


ENCODERS: Mapping[str, Callable[[Tracer, Any, Block, str], Block]] = {
    "sklearn.OneHotEncoder": _one_hot,
    "sklearn.OrdinalEncoder": _ordinal,
    "sklearn.TargetEncoder": _target,
}
"""Encoders of categories, by library and class."""
