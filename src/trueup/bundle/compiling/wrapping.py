"""What does a fitted part of a model say of itself: its class, its place in the model, the container it gives?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trueup.bundle.compiling.tracing import Block, Container, Traced, Uncompilable


def kind_of(part: Any) -> str:
    """Return library and class, such as ``sklearn.StandardScaler``; a project's own class has its own module."""
    module = type(part).__module__
    if module.startswith("trueup."):
        return f"{module}.{type(part).__qualname__}"
    return f"{module.split('.')[0]}.{type(part).__qualname__}"


def part_of(path: str, name: str, part: Any) -> str:
    """Return the path of a named part, such as ``prepare > numbers > StandardScaler``."""
    said = "" if isinstance(part, str) or part is None else _said(part)
    own = f"{name} ({said})" if said else name
    return f"{path} > {own}" if path else own


def container_of(transformer: Any, *, path: str) -> Container:
    """Return whether a transformer gives a data frame or an array.

    Raises
    ------
    Uncompilable
        When it is told to give a frame of another library than pandas.
    """
    from sklearn.utils._set_output import _get_output_config

    wanted = _get_output_config("transform", transformer)["dense"]
    if wanted == "polars":
        raise Uncompilable(path, "a polars data frame between steps is not compiled")
    return "frame" if wanted == "pandas" else "array"


def named(transformer: Any, block: Block) -> Block:
    """Return the block with the names that a transformer gives its columns in a data frame."""
    names = list(transformer.get_feature_names_out())
    columns = zip(block.columns, names, strict=True)
    return Block(tuple(replace(column, name=str(name)) for column, name in columns), "frame")


def given_by(transformer: Any, columns: Sequence[Traced], *, path: str, sparse: bool = False) -> Block:
    """Return the columns that a transformer gives, in the container it gives them in."""
    if container_of(transformer, path=path) == "frame":
        return named(transformer, Block(tuple(columns), "frame"))
    return Block(tuple(replace(column, name=None) for column in columns), "sparse" if sparse else "array")


def _said(part: Any) -> str:
    function = getattr(part, "func", None)
    name = type(part).__name__
    return f"{name}({getattr(function, '__name__', '?')})" if function is not None else name
