"""How does a program come about? Every column of the original is followed through its steps, as a place or as a table.

A column that depends on one category alone never needs a computation when serving: its values are known for each
category and for a missing one. Such a column is a table; steps change the table while compiling, with the very
instructions that a program has, and the last step looks it up. All other columns are numbers in places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.predictors.instructions import INSTRUCTIONS

Container = Literal["frame", "array", "sparse"]
UNKNOWN_TEXT = "\x00 any text that is not known"
"""Stands in a table for every text that the schema does not have; no column holds it."""
_MOST_ENTRIES = 4_000
"""Tables up to this size in all are looked up; larger ones with one exception each are compared."""


class Uncompilable(Exception):
    """A part of the model that no instruction stands for; caught where it can stay in Python, or reported."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason

    @property
    def told(self) -> NotCompiled:
        """Return what a user is told."""
        return NotCompiled(self.part, self.reason)


@dataclass(frozen=True)
class Traced:
    """One column on its way through the model."""

    slot: int
    """Place of the number, or of the category's position when there is a table."""
    dtype: str = "float64"
    """float64, float32, an integer or bool type, object, or category."""
    values: NDArray[Any] | None = None
    """A table: the value at each position, and last the one for a missing category."""
    name: str | None = None
    """In a data frame, its name."""
    may_miss: bool = True
    may_overflow: bool = False


@dataclass(frozen=True)
class Block:
    """The columns between two steps, in the container the original has them in."""

    columns: tuple[Traced, ...]
    container: Container

    def take(self, places: Iterable[int]) -> Block:
        """Return some of the columns, in the order given."""
        return replace(self, columns=tuple(self.columns[place] for place in places))


def encoded(values: Any) -> Any:
    """Return numbers as JSON values: NaN as null, infinities as text."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 2:
        return [encoded(row) for row in array]
    return [
        value if np.isfinite(value) else None if np.isnan(value) else "inf" if value > 0 else "-inf"
        for value in array.tolist()
    ]


@dataclass(frozen=True)
class Trial:
    """What a part that stays in Python is tried on while compiling."""

    model: Any
    """The whole fitted model."""
    rows: NDArray[np.float64]
    """Real rows, decoded."""


@dataclass(frozen=True)
class Mark:
    """How far a program had come."""

    instructions: int
    checks: int
    slow_parts: int
    width: int
    files: Mapping[str, bytes]


@dataclass
class Tracer:
    """Collects the instructions of one program.

    Parameters
    ----------
    inputs : int
        Numbers of a decoded row.
    trial : Trial, optional
        Lets parts stay in Python; without it the whole model compiles or does not.
    """

    inputs: int
    trial: Trial | None = None
    instructions: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    slow_parts: list[NotCompiled] = field(default_factory=list)
    width: int = 0
    checks: list[Traced] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.width = self.inputs

    def mark(self) -> Mark:
        """Return how far the program has come, for `back_to`."""
        return Mark(len(self.instructions), len(self.checks), len(self.slow_parts), self.width, dict(self.files))

    def back_to(self, mark: Mark) -> None:
        """Forget what came since."""
        del self.instructions[mark.instructions :], self.checks[mark.checks :], self.slow_parts[mark.slow_parts :]
        self.width, self.files = mark.width, dict(mark.files)

    def emit(self, kind: str, taken: Sequence[int], count: int, **document: Any) -> list[int]:
        """Add an instruction that reads these places; return the places it writes."""
        given = self._new(count) if (span := self.span(taken)) else []
        self.instructions.append({"kind": kind, "from": span, "to": [given[0], given[-1] + 1], **document})
        return given

    def span(self, slots: Sequence[int]) -> list[int]:
        """Return first and last-plus-one of places without gaps, copied there where they are scattered."""
        if list(slots) != list(range(slots[0], slots[0] + len(slots))):
            given = self._new(len(slots))
            self.instructions.append(
                {"kind": "take", "places": [int(slot) for slot in slots], "to": [given[0], given[-1] + 1]}
            )
            slots = given
        return [int(slots[0]), int(slots[0]) + len(slots)]

    def constant(self, values: Sequence[float]) -> list[int]:
        """Return places of numbers that are the same for every row."""
        given = self._new(len(values))
        self.instructions.append({"kind": "constant", "values": encoded(values), "to": [given[0], given[-1] + 1]})
        return given

    def with_constant(self, slots: Sequence[int], function: str, values: Any) -> list[int]:
        """Return places of each number combined with a constant (or one for all)."""
        by = np.broadcast_to(np.asarray(values, dtype=np.float64), (len(slots),))
        return self.emit("arithmetic", slots, len(slots), function=function, by=encoded(by))

    def between(self, slots: Sequence[int], function: str, others: Sequence[int]) -> list[int]:
        """Return places of each number combined with one of others (or one for all)."""
        others_span = self.span(others)
        return self.emit("between", slots, len(slots), function=function, **{"with": others_span})

    def choose(self, slots: Sequence[int], *, when: Sequence[int], otherwise: Sequence[int]) -> list[int]:
        """Return places of each number where `when` is not 0, else of another (or one for all)."""
        spans = {"when": self.span(when), "otherwise": self.span(otherwise)}
        return self.emit("choose", slots, len(slots), **spans)

    def apply(self, slots: Sequence[int], function: str) -> list[int]:
        """Return places of a function of each number."""
        return self.emit("function", slots, len(slots), function=function)

    def reduce(self, slots: Sequence[int], function: str) -> list[int]:
        """Return the place of the sum (`add`) or `maximum`."""
        return self.emit("reduce", slots, 1, function=function)

    def linear(self, slots: Sequence[int], weights: Any, intercepts: Any) -> list[int]:
        """Return places of weighted sums; weights of shape (sums, numbers)."""
        weights = np.asarray(weights, dtype=np.float64).reshape(-1, len(slots))
        intercepts = np.broadcast_to(np.asarray(intercepts, dtype=np.float64), (len(weights),))
        return self.emit("linear", slots, len(weights), weights=encoded(weights), intercepts=encoded(intercepts))

    def call(self, compiled: Compiled, slots: Sequence[int], *, count: int) -> list[int]:
        """Return places of the answer of other stages, run one after the other."""
        self.files.update(compiled.files)
        *first, last = compiled.stages
        if first:
            raise Uncompilable("model", "a part of several stages cannot be called")
        return self.emit("call", slots, count, stage=dict(last))

    def each(
        self,
        columns: Sequence[Traced],
        kind: str,
        *,
        of_column: Mapping[str, Sequence[Any]] | None = None,
        of_all: Mapping[str, Any] | None = None,
        dtype: str = "float64",
        may_miss: bool | None = None,
        may_overflow: bool = False,
    ) -> list[Traced]:
        """Return columns after an instruction that treats every one by itself: tables now, numbers when serving."""
        own, shared = dict(of_column or {}), dict(of_all or {})
        numbers = [place for place, column in enumerate(columns) if column.values is None]
        slots: dict[int, int] = {}
        if numbers:
            picked = {key: [values[place] for place in numbers] for key, values in own.items()}
            given = self.emit(kind, [columns[place].slot for place in numbers], len(numbers), **picked, **shared)
            slots = dict(zip(numbers, given, strict=True))
        result = []
        for place, column in enumerate(columns):
            if column.values is None:
                missing = column.may_miss if may_miss is None else may_miss
                result.append(Traced(slots[place], dtype, None, None, missing, may_overflow))
            else:
                document = {"kind": kind, **shared, **{key: [values[place]] for key, values in own.items()}}
                result.append(self.table(column.slot, _computed(document, column.values), dtype=dtype))
        return result

    @staticmethod
    def table(slot: int, values: NDArray[Any], *, dtype: str = "float64", name: str | None = None) -> Traced:
        """Return a column that is known for every category."""
        return Traced(slot, dtype, values, name, may_miss=True, may_overflow=True)

    def refuse(self, columns: Sequence[Traced], *, missing_allowed: bool) -> None:
        """Remember that the original raises where one of these is infinite, or missing where that is not allowed."""
        numbers = []
        for column in columns:
            if column.values is not None:
                values = np.asarray(column.values, dtype=np.float64)
                bad = np.isinf(values) if missing_allowed else ~np.isfinite(values)
                if bad.any():
                    self.checks.append(self.table(column.slot, np.where(bad, np.nan, 0.0)))
            elif column.may_overflow or (column.may_miss and not missing_allowed):
                numbers.append(column.slot)
        if numbers:
            (slot,) = self.emit("refuse", numbers, 1, missing_allowed=missing_allowed)
            self.checks.append(Traced(slot))

    def places_of(self, columns: Sequence[Traced]) -> list[int]:
        """Return the places of the columns' numbers, after looking up those that are tables."""
        slots = [column.slot for column in columns]
        tables = [place for place, one in enumerate(columns) if one.values is not None and one.dtype != "category"]
        looked_up: list[int] = []
        compared: list[int] = []
        entries = sum(len(_values(columns[place])) for place in tables)
        for place in tables:
            few = entries <= _MOST_ENTRIES or _exception(columns[place]) is None
            (looked_up if few else compared).append(place)
        for chosen, emit in ((looked_up, self._lookup), (compared, self._hot)):
            if chosen:
                for place, slot in zip(chosen, emit([columns[place] for place in chosen]), strict=True):
                    slots[place] = slot
        return slots

    def program(self, answer: Sequence[int], *, checked: bool = True) -> dict[str, Any]:
        """Return the document of the program that gives these places, NaN where a row is refused (when `checked`)."""
        if self.checks and checked:
            slots = self.places_of(self.checks)
            answer = self.between(answer, "add", self.reduce(slots, "add") if len(slots) > 1 else slots)
        outputs = self.span(answer)
        return {
            "kind": "program",
            "inputs": self.inputs,
            "width": self.width,
            "instructions": self.instructions,
            "outputs": outputs,
        }

    def _new(self, count: int) -> list[int]:
        first = self.width
        self.width += count
        return list(range(first, first + count))

    def _codes(self, columns: Sequence[Traced]) -> dict[str, Any]:
        sizes = {column.slot: len(_values(column)) - 1 for column in columns}
        order = {slot: place for place, slot in enumerate(sizes)}
        return {
            "codes": list(sizes),
            "sizes": list(sizes.values()),
            "of": [order[column.slot] for column in columns],
        }

    def _lookup(self, columns: Sequence[Traced]) -> list[int]:
        given = self._new(len(columns))
        tables = [_values(column) for column in columns]
        base = np.concatenate([[0], np.cumsum([len(table) for table in tables])[:-1]])
        self.instructions.append(
            {
                "kind": "lookup",
                **self._codes(columns),
                "base": base.astype(int).tolist(),
                "table": encoded(np.concatenate(tables)),
                "to": [given[0], given[-1] + 1],
            }
        )
        return given

    def _hot(self, columns: Sequence[Traced]) -> list[int]:
        given = self._new(len(columns))
        exceptions = [_exception(column) or (0, 0.0, 0.0) for column in columns]
        self.instructions.append(
            {
                "kind": "hot",
                **self._codes(columns),
                "at": [place for place, _, _ in exceptions],
                "hit": encoded([hit for _, hit, _ in exceptions]),
                "other": encoded([other for _, _, other in exceptions]),
                "to": [given[0], given[-1] + 1],
            }
        )
        return given


def described(columns: Sequence[Traced], *, container: Container) -> tuple[Column, ...]:
    """Return what an estimator is told of its columns: categories where a frame has them, else numbers."""
    return tuple(
        Column(
            column.name if column.name is not None else f"x{place}",
            tuple(map(str, _values(column)[:-1])) if column.dtype == "category" and container == "frame" else None,
        )
        for place, column in enumerate(columns)
    )


def _values(column: Traced) -> NDArray[Any]:
    if column.values is None:
        raise TypeError("the column is no table")
    return column.values


def _computed(document: Mapping[str, Any], values: NDArray[Any]) -> NDArray[np.float64]:
    places = np.zeros((2, len(values)))
    places[0] = np.asarray(values, dtype=np.float64)
    instruction = INSTRUCTIONS[document["kind"]]({**document, "from": [0, 1], "to": [1, 2]}, 2)
    with np.errstate(all="ignore"):
        for call in instruction.bind(places):
            call()
    return np.array(places[1])


def _exception(column: Traced) -> tuple[int, float, float] | None:
    """Return position, value there and value elsewhere, for a table with at most one exception."""
    values = np.asarray(_values(column), dtype=np.float64)
    common, counts = np.unique(values, return_counts=True)
    if np.isnan(common).any() or len(common) > 2 or (len(common) == 2 and counts.min() > 1):
        return None
    if len(common) == 1:
        return 0, float(common[0]), float(common[0])
    rare = float(common[int(np.argmin(counts))])
    other = float(common[int(np.argmax(counts))]) if counts[0] != counts[1] else float(common[common != rare][0])
    return int(np.flatnonzero(values == rare)[0]), rare, other
