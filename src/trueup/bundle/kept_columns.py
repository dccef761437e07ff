"""How do the values that stand beside a row's features come back beside its answer, whatever each row holds?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 2**63
_NAMES = {frozenset({"boolean"}): "boolean", frozenset({"integer"}): "integer", frozenset({"text"}): "text"}
_NUMBERS = frozenset({"integer", "number"})


def kept_types(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return one type for each key that any row has: boolean, integer, number, text, or json for a mixture of them."""
    seen: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            kinds = seen.setdefault(name, set())
            if value is not None:
                kinds.add(_kind(value))
    return {name: _joined(frozenset(kinds)) for name, kinds in seen.items()}


def kept_table(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> pa.Table:
    """Return rows as a table with the columns of `types`; values of a json column are texts, other values JSON text."""
    import pyarrow as pa

    arrow = {"boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64()}
    return pa.table(
        {
            name: pa.array(
                [_as_text(row.get(name)) if kind == "json" else row.get(name) for row in rows],
                type=arrow.get(kind, pa.string()),
            )
            for name, kind in types.items()
        }
    )


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_LARGEST <= value < _LARGEST else "json"
    if isinstance(value, float):
        return "number"
    return "text" if isinstance(value, str) else "json"


def _joined(kinds: frozenset[str]) -> str:
    if not kinds:
        return "text"
    return "number" if kinds <= _NUMBERS and "number" in kinds else _NAMES.get(kinds, "json")


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
