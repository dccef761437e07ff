"""What does a bundle say of some rows, before anything is decided? Runs in worker processes, a part at a time."""

from __future__ import annotations

import atexit
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.align.allocation import CONTROL_SALT, uniform_of
from trueup.align.decision_policy import DecisionPolicy
from trueup.bundle.errors import ModelFailed, RowBreaksSchema
from trueup.bundle.features import FeatureSpec
from trueup.bundle.loading import LoadedBundle, open_bundle
from trueup.kernel.rowvalues import BadRowValue
from trueup.loop.predict_bodies import bodies_of
from trueup.loop.predict_reading import Part

if TYPE_CHECKING:
    import pyarrow as pa

BAD_ROW, MISSING_FEATURES, NO_TIME = "bad_row", "missing_features", "no_event_time"
"""Why a row got no score, or with the event's clock no decision."""
OWN = "trueup$"
"""What the names of columns start with that are not written."""
_KINDS = {"number": "float64", "date": "timestamp"}
Row = dict[str, Any]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """What a worker needs to open."""

    bundle: Path
    trusted_keys: tuple[Path, ...]
    today: date | None
    keep: tuple[str, ...]
    run: str
    """Id of the run; stands in for the name of a case that has none."""
    logged: tuple[tuple[str, str], ...] = ()
    """Columns that go to the log, with their kinds; none where nothing is logged."""


@dataclass(frozen=True)
class Task:
    """One part for one worker."""

    setup: Setup
    part: Part


def score_part(task: Task) -> pa.RecordBatch:
    """Return what the bundle and its policy say of each row, one line each.

    Columns: ``association_id``, the scores, ``expected_gain``, ``predicted`` (None for yes-or-no), those to keep, and
    under names that start with `OWN` what a decision needs: moment, unit, control, baseline, fallback, failure.
    """
    bundle, policy = _opened(task.setup)
    rows, table, bad = _understood(task.part, bundle.manifest.features, policy.columns)
    scores = np.full((len(rows), _width(bundle)), math.nan)
    good = np.array([i for i in range(len(rows)) if i not in bad], dtype=np.int64)
    if len(good):
        found, broken = _scores(bundle, table.take(good) if bad else table)
        scores[good] = found
        bad |= {int(good[place]) for place in broken}
    return _Told(task, (bundle, policy), rows=rows, scores=scores, bad=bad).batch(table)


@lru_cache(maxsize=1)
def _opened(setup: Setup) -> tuple[LoadedBundle, DecisionPolicy]:
    bundle = open_bundle(setup.bundle, trusted_keys=setup.trusted_keys, today=setup.today)
    atexit.register(bundle.close)
    return bundle, DecisionPolicy(bundle.manifest.policy, classes=bundle.manifest.classes)


def _width(bundle: LoadedBundle) -> int:
    return len(bundle.manifest.classes) if bundle.manifest.task == "multiclass" else 1


# --- what the rows say


def _understood(
    part: Part, features: Sequence[FeatureSpec], read: Collection[str]
) -> tuple[list[Row], pa.Table, set[int]]:
    """Return the rows as a policy reads them, the table a model reads, and rows that cannot be read."""
    import pyarrow as pa

    if isinstance(part.rows, tuple):
        rows, bad = _parsed(part.rows)
        return rows, *_table_of(rows, features, bad)
    table = pa.Table.from_batches([_plain(part.rows)])
    needed = [name for name in table.column_names if name in read]
    rows = table.select(needed).to_pylist() if needed else [{}] * table.num_rows
    bad = set(part.unreadable)
    for name, feature in ((f.name, f) for f in features if f.name in table.column_names):
        column = table.column(name).combine_chunks()
        if pa.types.is_string(column.type) and feature.kind != "text":
            table = table.set_column(table.column_names.index(name), name, _typed(column, feature, bad))
    return rows, table, bad


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with times in microseconds, which rows can hold, and plain text for dictionaries."""
    import pyarrow as pa

    fields = []
    for column in batch.schema:
        kind = column.type
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", kind.tz)
        elif pa.types.is_dictionary(kind):
            kind = kind.value_type
        fields.append(pa.field(column.name, kind))
    return batch.cast(pa.schema(fields), safe=False)


def _typed(column: pa.Array, feature: FeatureSpec, bad: set[int]) -> pa.Array:
    """Return a column of text in the type of a feature; a row whose text is no such value is bad."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    nothing = pa.array(csv.ConvertOptions().null_values, pa.string())
    column = pc.if_else(pc.is_in(column, value_set=nothing), pa.scalar(None, pa.string()), column)
    if feature.kind not in _KINDS:
        return column
    wanted = pa.float64() if feature.kind == "number" else pa.timestamp("us")
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid:
        values = [_cast_or_none(value, wanted) for value in column]
    bad |= {i for i, (value, text) in enumerate(zip(values, column, strict=True)) if value is None and text.is_valid}
    return pa.array(values, wanted)


def _cast_or_none(value: Any, wanted: Any) -> Any:
    import pyarrow as pa

    try:
        return value.cast(wanted).as_py()
    except pa.ArrowInvalid:
        return None


def _parsed(lines: Sequence[bytes]) -> tuple[list[Row], set[int]]:
    rows: list[Row] = []
    bad = set()
    for number, line in enumerate(lines):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            bad.add(number)
            row = {}
        rows.append(row)
    return rows, bad


def _table_of(rows: Sequence[Row], features: Sequence[FeatureSpec], bad: set[int]) -> tuple[pa.Table, set[int]]:
    """Return rows as a table; a row that lacks a feature, or holds something else in it, is bad."""
    from trueup.bundle.frames import table_of_rows

    nothing = {feature.name: None for feature in features}
    try:
        return table_of_rows([nothing if i in bad else row for i, row in enumerate(rows)], features), bad
    except RowBreaksSchema:
        for number, row in enumerate(rows):
            try:
                table_of_rows([row], features)
            except RowBreaksSchema:
                bad.add(number)
        return table_of_rows([nothing if i in bad else row for i, row in enumerate(rows)], features), bad


# --- what the model says


def _scores(bundle: LoadedBundle, table: pa.Table) -> tuple[Array, list[int]]:
    """Return scores, shape (n, k), and the rows that make the model raise, found by halving."""
    width = _width(bundle)
    try:
        return bundle.score_table(table).reshape(table.num_rows, width), []
    except (RowBreaksSchema, ModelFailed):
        if table.num_rows == 1:
            return np.full((1, width), math.nan), [0]
    half = table.num_rows // 2
    first, broken = _scores(bundle, table.slice(0, half))
    second, more = _scores(bundle, table.slice(half))
    return np.concatenate((first, second)), broken + [half + place for place in more]


# --- what the policy says


class _Told:
    """Puts together the lines of a part."""

    def __init__(
        self,
        task: Task,
        opened: tuple[LoadedBundle, DecisionPolicy],
        *,
        rows: Sequence[Row],
        scores: Array,
        bad: set[int],
    ) -> None:
        self._task, self._manifest, self._policy = task, opened[0].manifest, opened[1]
        self._rows, self._scores = rows, scores
        missing = np.atleast_1d(np.isnan(scores).any(axis=1))
        self._failures: list[str | None] = [
            BAD_ROW if i in bad else MISSING_FEATURES if missing[i] else None for i in range(len(rows))
        ]

    def batch(self, table: pa.Table) -> pa.RecordBatch:
        """Return the lines."""
        import pyarrow as pa

        names = [self._asked(i, self._policy.association_of) for i in range(len(self._rows))]
        units = np.array([self._unit(i, name) for i, name in enumerate(names)], dtype=np.uint64)
        control = uniform_of(units, CONTROL_SALT) < self._policy.control_group
        moments = [self._asked(i, self._policy.event_time) for i in range(len(self._rows))]
        baseline = [self._asked(i, self._policy.baseline) if ruled else None for i, ruled in enumerate(control)]
        fallback = [self._asked(i, self._policy.fallback) if f else None for i, f in enumerate(self._failures)]
        binary = self._policy.task == "binary"
        if not binary:
            control &= np.array([said is not None for said in baseline], dtype=bool)
        gains, predicted = self._gains(), self._predicted(control, baseline, fallback)
        value = pa.bool_() if binary else pa.float64() if self._policy.task == "regression" else pa.string()
        logged = dict(self._task.setup.logged)
        own = {f"{OWN}body": bodies_of(self._rows if isinstance(self._task.part.rows, tuple) else table, logged)}
        columns = {
            "association_id": pa.array(names, pa.string()),
            **self._score_columns(),
            "expected_gain": pa.array(gains, pa.float64()),
            f"{OWN}predicted": pa.array(predicted, None if not predicted else value),
            f"{OWN}moment": pa.array(moments, pa.int64()),
            f"{OWN}unit": pa.array(units),
            f"{OWN}control": pa.array(control),
            f"{OWN}baseline": pa.array([bool(b) for b in baseline]),
            f"{OWN}fallback": pa.array([bool(f) for f in fallback]),
            f"{OWN}failure": pa.array(self._failures, pa.string()),
            **(own if logged else {}),
            **{name: self._kept(name, table) for name in self._task.setup.keep},
        }
        return pa.RecordBatch.from_pydict(columns)

    def _asked(self, place: int, question: Any) -> Any:
        """Return what the policy says of a row; a row that it cannot read is bad."""
        try:
            return question(self._rows[place])
        except BadRowValue:
            self._failures[place] = BAD_ROW
            return None

    def _unit(self, place: int, name: str | None) -> int:
        own = f"{self._task.setup.run}:{self._task.part.first_row + place}"
        return self._policy.unit_hash(own if name is None else name)

    def _gains(self) -> list[float | None]:
        if self._policy.task != "binary":
            return [None] * len(self._rows)
        gain, scores = self._policy.gain, self._scores[:, 0].tolist()
        return [
            None if self._failures[i] else self._asked(i, lambda row, score=scores[i]: gain(score, row))
            for i in range(len(self._rows))
        ]

    def _predicted(self, control: NDArray[np.bool_], baseline: Sequence[Any], fallback: Sequence[Any]) -> list[Any]:
        if self._policy.task == "binary":
            return [None] * len(self._rows)
        found = []
        for i, scores in enumerate(self._scores):
            said = fallback[i]
            if not self._failures[i]:
                said = self._asked(i, lambda row, scores=scores: self._policy.choose(scores, row))
            found.append(baseline[i] if control[i] else said)
        return found

    def _score_columns(self) -> Mapping[str, Any]:
        import pyarrow as pa

        names = ["score"]
        if self._policy.task == "multiclass":
            names = [f"score_{name}" for name in self._manifest.classes]
        hidden = np.array([f == BAD_ROW for f in self._failures], dtype=bool)[:, None]
        shown = np.where(hidden, math.nan, self._scores)
        return {
            name: pa.array(column, pa.float64(), from_pandas=True) for name, column in zip(names, shown.T, strict=True)
        }

    def _kept(self, name: str, table: pa.Table) -> Any:
        import pyarrow as pa

        if isinstance(self._task.part.rows, tuple):
            return pa.array([_as_text(row.get(name)) for row in self._rows], pa.string())
        return self._task.part.rows.column(name)


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
