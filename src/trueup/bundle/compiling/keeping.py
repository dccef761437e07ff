"""How does one part of a model stay in Python while everything around it is compiled? It is tried, and told.

What a foreign step gives is not written anywhere: it is asked on real rows, which take the compiled way to it. A step
that cannot be cut out (it gives texts, its columns change with the rows) stays with what stands around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.locating import find_place
from trueup.bundle.compiling.parts import NotCompiled
from trueup.bundle.compiling.python_stage import (
    ColumnType,
    Handing,
    columns_document,
    describe,
    open_python,
    run_parts,
)
from trueup.bundle.compiling.tracing import UNKNOWN_TEXT, Block, Container, Traced, Tracer, Trial, Uncompilable
from trueup.bundle.predictors.opening import all_openers
from trueup.bundle.predictors.steps import open_program

Numbers = NDArray[np.float64]


def keep_steps(tracer: Tracer, steps: Sequence[Any], block: Block, *, path: str, stopped: Uncompilable) -> Block:
    """Return the columns behind fitted transformers that stay in Python.

    Parameters
    ----------
    steps : sequence of transformer
        Each takes what the one before gives.
    path : str
        Where they stand in the model.
    stopped : Uncompilable
        Why they are not compiled.

    Raises
    ------
    Uncompilable
        When they cannot be cut out of the model.
    """
    slots, gives, container = _kept(tracer, steps, block, method="transform", path=path, stopped=stopped)
    return Block(tuple(_traced(slot, one) for slot, one in zip(slots, gives, strict=True)), container)


def keep_estimator(tracer: Tracer, model: Any, block: Block, *, path: str, stopped: Uncompilable) -> list[int]:
    """Return the places of the answer of a fitted estimator that stays in Python.

    Raises
    ------
    Uncompilable
        When it cannot be cut out of the model.
    """
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    if method == "predict" and hasattr(model, "classes_"):
        raise stopped
    slots, _, _ = _kept(tracer, [model], block, method=method, path=path, stopped=stopped)
    return slots


def _kept(
    tracer: Tracer, parts: Sequence[Any], block: Block, *, method: str, path: str, stopped: Uncompilable
) -> tuple[list[int], tuple[ColumnType, ...], Container]:
    trial = tracer.trial
    if trial is None:
        raise stopped
    try:
        takes = tuple(_taken(column) for column in block.columns)
        places = [_place(trial, part) for part in parts]
        taken = tracer.span(_slots(tracer, block))
        gives, container = _tried(trial, parts, Handing(takes, block.container), _rows(tracer, trial, taken), method)
    except TypeError as error:
        raise Uncompilable(stopped.part, f"{stopped.reason}, and it cannot be cut out: {error}") from stopped
    stage = {
        "kind": "python",
        "parts": [list(place) for place in places],
        "method": method,
        "container": block.container,
        "takes": columns_document(takes),
        "gives": columns_document(gives),
    }
    *slots, refused = tracer.emit("call", range(*taken), len(gives) + 1, stage=stage)
    tracer.checks.append(Traced(refused))
    with_it = "" if stopped.part == path else f"; {path or 'every step before the model'} stays in Python with it"
    tracer.slow_parts.append(NotCompiled(stopped.part, f"{stopped.reason}{with_it}"))
    return slots, gives, container


def _taken(column: Traced) -> ColumnType:
    """Return how a column stands in the container that the original hands over."""
    if column.values is None or column.dtype not in {"category", "object"}:
        return ColumnType(column.name, column.dtype)
    values: list[Any] = column.values.tolist()
    texts = tuple(value if isinstance(value, str) else None for value in values)
    if UNKNOWN_TEXT in texts:
        raise TypeError(f'it takes "{column.name}" as the text that came')
    if any(text is None and value == value for text, value in zip(texts, values, strict=True)):  # noqa: PLR0124 - NaN
        raise TypeError("it takes texts and numbers in one column")
    return ColumnType(column.name, column.dtype, texts if column.dtype == "object" else texts[:-1])


def _slots(tracer: Tracer, block: Block) -> list[int]:
    """Return the places of numbers, and of positions where a column holds texts."""
    if not block.columns:
        raise TypeError("it takes no columns")
    columns = [replace(one, dtype="category") if one.dtype == "object" else one for one in block.columns]
    return tracer.places_of(columns)


def _place(trial: Trial, part: Any) -> tuple[str | int, ...]:
    place = find_place(trial.model, part)
    if place is None:
        raise TypeError("it is not found in the model again")
    return place


def _rows(tracer: Tracer, trial: Trial, taken: Sequence[int]) -> Numbers:
    """Return what the rows of the trial are when they reach these places."""
    document = {**tracer.program(range(*taken), checked=False), "outputs": list(taken)}
    openers = all_openers({"python": open_python(trial.model)})
    return open_program(document, tracer.files, openers=openers).many(trial.rows)


def _tried(
    trial: Trial, parts: Sequence[Any], handing: Handing, rows: Numbers, method: str
) -> tuple[tuple[ColumnType, ...], Container]:
    """Return what the parts give, asked for all rows that they take and for each of them."""
    seen = set()
    accepted = []
    for place in np.flatnonzero(handing.possible(rows)).tolist():
        try:
            given = run_parts(parts, handing.hand(rows[place : place + 1]), method=method)
        except Exception:  # noqa: BLE001, S112 - the part is foreign code; rows that it refuses tell nothing
            continue
        accepted.append(place)
        seen.add(describe(given))
    if not accepted:
        raise TypeError(f"it refused each of {len(rows)} rows that it was tried on")
    given = run_parts(parts, handing.hand(rows[accepted]), method=method)
    seen.add(describe(given))
    if len(seen) > 1:
        raise TypeError("its columns or their types change with the rows")
    container: Container = "frame" if hasattr(given, "iloc") else "sparse" if hasattr(given, "toarray") else "array"
    return seen.pop(), container


def _traced(slot: int, column: ColumnType) -> Traced:
    if column.texts is not None:
        return Traced(slot, "category", np.array([*column.texts, np.nan], dtype=object), column.name)
    may_miss = np.dtype(column.dtype).kind == "f"
    return Traced(slot, column.dtype, None, column.name, may_miss=may_miss, may_overflow=True)
