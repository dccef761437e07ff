"""How do preprocessing steps become instructions? One function for each class, and the ways they are composed.

A class is recognised by its module and name, never by its base: a project's own subclass may do anything. What is not
recognised stays in Python where rows to try it on are given, else the whole model does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trueup.bundle.compiling.keeping import keep_steps
from trueup.bundle.compiling.steps_encoding import ENCODERS
from trueup.bundle.compiling.steps_numeric import NUMERIC
from trueup.bundle.compiling.tracing import Block, Container, Traced, Tracer, Uncompilable
from trueup.bundle.compiling.wrapping import container_of, kind_of, named, part_of
from trueup.bundle.predictors.arithmetic import FUNCTIONS

Step = Callable[[Tracer, Any, Block, str], Block]


def trace_transformer(tracer: Tracer, transformer: Any, block: Block, *, path: str) -> Block:
    """Return the columns behind a fitted transformer.

    Raises
    ------
    Uncompilable
        When no instructions stand for it, with its path in the model and the reason, and it cannot stay in Python.
    """
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return block
    mark = tracer.mark()
    try:
        return _compiled(tracer, transformer, block, path)
    except Uncompilable as stopped:
        if tracer.trial is None:
            raise
        tracer.back_to(mark)
        return keep_steps(tracer, [transformer], block, path=path, stopped=stopped)


def trace_in_turn(tracer: Tracer, steps: Sequence[tuple[str, Any]], block: Block, *, path: str) -> Block:
    """Return the columns behind the steps of a pipeline; where one cannot be cut out, all of them stay in Python.

    Raises
    ------
    Uncompilable
        When that is not possible either.
    """
    mark = tracer.mark()
    traced = block
    try:
        for name, step in steps:
            traced = trace_transformer(tracer, step, traced, path=part_of(path, name, step))
    except Uncompilable as stopped:
        if tracer.trial is None:
            raise
        tracer.back_to(mark)
        kept = [step for _, step in steps if step is not None and not isinstance(step, str)]
        return keep_steps(tracer, kept, block, path=path, stopped=stopped)
    return traced


def _compiled(tracer: Tracer, transformer: Any, block: Block, path: str) -> Block:
    step = STEPS.get(kind_of(transformer))
    if step is None:
        raise Uncompilable(path, _unknown(transformer))
    return step(tracer, transformer, block, path)


def _unknown(transformer: Any) -> str:
    if kind_of(transformer).startswith("sklearn."):
        return f"{type(transformer).__name__} of scikit-learn is not compiled yet"
    return f"{type(transformer).__name__} is a class of your own or of a library that is not compiled"


def _pipeline(tracer: Tracer, pipeline: Any, block: Block, path: str) -> Block:
    for name, step in pipeline.steps:
        block = trace_transformer(tracer, step, block, path=part_of(path, name, step))
    return block


def _column_transformer(tracer: Tracer, transformer: Any, block: Block, path: str) -> Block:
    sources = _sources(transformer, block)
    parts: list[Block] = []
    for name, step, chosen in transformer.transformers_:
        indices = transformer._transformer_to_input_indices.get(name, [])
        if step == "drop" or not len(indices):
            continue
        if isinstance(chosen, str) or (np.ndim(chosen) == 0 and not isinstance(chosen, slice) and not callable(chosen)):
            raise Uncompilable(part_of(path, name, step), "it takes one column as a list, such as free text")
        taken = block.take([sources[index] for index in indices])
        parts.append(trace_transformer(tracer, step, taken, path=part_of(path, name, step)))
    return _side_by_side(transformer, parts, sparse=bool(transformer.sparse_output_), path=path)


def _sources(transformer: Any, block: Block) -> list[int]:
    if block.container != "frame" or not hasattr(transformer, "feature_names_in_"):
        return list(range(len(block.columns)))
    places = {column.name: place for place, column in enumerate(block.columns)}
    return [places.get(name, -1) for name in transformer.feature_names_in_]


def _feature_union(tracer: Tracer, union: Any, block: Block, path: str) -> Block:
    weights = union.transformer_weights or {}
    parts = []
    for name, step in union.transformer_list:
        if step == "drop":
            continue
        part = trace_transformer(tracer, step, block, path=part_of(path, name, step))
        if name in weights:
            by = {"by": [float(weights[name])] * len(part.columns)}
            columns = tracer.each(
                part.columns, "arithmetic", of_column=by, of_all={"function": "multiply"}, may_overflow=True
            )
            part = replace(part, columns=tuple(columns))
        parts.append(part)
    return _side_by_side(union, parts, sparse=any(part.container == "sparse" for part in parts), path=path)


def _side_by_side(transformer: Any, parts: list[Block], *, sparse: bool, path: str) -> Block:
    columns = tuple(column for part in parts for column in part.columns)
    if container_of(transformer, path=path) == "frame":
        return named(transformer, Block(columns, "frame"))
    texts = {"category", "object"}
    if any(column.dtype in texts for column in columns) and not all(column.dtype in texts for column in columns):
        raise Uncompilable(path, "numbers and texts stand side by side in one array")
    kinds = {column.dtype for column in columns}
    if "float32" in kinds and kinds != {"float32"}:
        columns = tuple(replace(column, dtype="float64") for column in columns)
    container: Container = "sparse" if sparse else "array"
    return Block(columns, container) if kinds - {"category"} else Block(_as_objects(columns), container)


def _as_objects(columns: tuple[Traced, ...]) -> tuple[Traced, ...]:
    return tuple(replace(column, dtype="object") for column in columns)


def _function(tracer: Tracer, transformer: Any, block: Block, path: str) -> Block:
    function = transformer.func
    if transformer.validate and block.container == "frame":
        raise Uncompilable(path, "FunctionTransformer with validate=True on a data frame is not compiled")
    if transformer.kw_args and kind_of_function(function) != "trueup.build.rungs.category_codes":
        raise Uncompilable(path, "a function with arguments is not compiled")
    if function is None:
        return block
    if (own := _OWN.get(kind_of_function(function))) is not None:
        return own(tracer, transformer, block, path)
    name = getattr(function, "__name__", "")
    if isinstance(function, np.ufunc) and getattr(np, name, None) is function and name in FUNCTIONS:
        return _elementwise(tracer, block, name, path)
    raise Uncompilable(path, f"{name or 'it'} is a function of your own")


def _elementwise(tracer: Tracer, block: Block, function: str, path: str) -> Block:
    if any(column.dtype != "float64" for column in block.columns):
        raise Uncompilable(path, f"{function} of columns that are not float64")
    columns = tracer.each(block.columns, "function", of_all={"function": function}, may_miss=True, may_overflow=True)
    return replace(
        block,
        columns=tuple(replace(new, name=old.name) for new, old in zip(columns, block.columns, strict=True)),
    )


def _category_codes(tracer: Tracer, transformer: Any, block: Block, path: str) -> Block:
    columns = []
    for column in block.columns:
        if column.values is None or column.dtype != "category":
            raise Uncompilable(path, "category_codes of a column that is no category")
        count = len(column.values) - 1
        columns.append(Traced(column.slot, "int32", np.append(np.arange(count), -1), None, may_miss=False))
    return Block(tuple(columns), "array")


def _plain_names(tracer: Tracer, transformer: Any, block: Block, path: str) -> Block:
    return replace(
        block, columns=tuple(replace(column, name=f"f{place}") for place, column in enumerate(block.columns))
    )


def kind_of_function(function: Any) -> str:
    """Return module and name of a function."""
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"


_OWN: Mapping[str, Step] = {
    "trueup.build.rungs.category_codes": _category_codes,
    "trueup.build.rungs.plain_names": _plain_names,
}
STEPS: Mapping[str, Step] = {
    "sklearn.Pipeline": _pipeline,
    "sklearn.ColumnTransformer": _column_transformer,
    "sklearn.FeatureUnion": _feature_union,
    "sklearn.FunctionTransformer": _function,
    **ENCODERS,
    **NUMERIC,
}
"""Every transformer that is compiled, by the first part of its module and its name."""
