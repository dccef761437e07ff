"""Where in a fitted model does a part of it stand? Found by identity, and found again in the same model elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

Key = str | int
Place = tuple[Key, ...]
_MOST_VISITED = 100_000
_NOT_ENTERED = ("numpy", "pandas", "scipy", "pyarrow")
"""Libraries whose objects hold numbers, not parts of models."""


def find_place(model: Any, part: Any) -> Place | None:
    """Return the attributes, keys and positions that lead from a model to a part of it; None where none do.

    The shortest way; of several as short the first in the order of attributes. `part_at` goes it.

    Examples
    --------
    >>> find_place({"steps": [("scale", "x"), ("model", model := object())]}, model)
    ('steps', 1, 1)
    """
    seen = {id(model)}
    waiting: deque[tuple[Any, Place]] = deque([(model, ())])
    while waiting and len(seen) < _MOST_VISITED:
        one, place = waiting.popleft()
        if one is part:
            return place
        for key, inner in _inside(one):
            if id(inner) not in seen:
                seen.add(id(inner))
                waiting.append((inner, (*place, key)))
    return None


def part_at(model: Any, place: Sequence[Key]) -> Any:
    """Return the part of a model at a place from `find_place`.

    Raises
    ------
    KeyError, IndexError, TypeError
        When the model has no such part.
    """
    part = model
    for key in place:
        inside: Any = part if isinstance(part, list | tuple | dict) else vars(part)
        part = inside[key]
    return part


def _inside(one: Any) -> Iterator[tuple[Key, Any]]:
    if isinstance(one, (list, tuple)):
        yield from enumerate(one)
    elif isinstance(one, dict):
        yield from ((key, value) for key, value in one.items() if isinstance(key, str))
    elif _may_hold_parts(one):
        yield from vars(one).items()


def _may_hold_parts(one: Any) -> bool:
    if isinstance(one, (type, FunctionType, ModuleType)) or not hasattr(one, "__dict__"):
        return False
    return type(one).__module__.partition(".")[0] not in _NOT_ENTERED
