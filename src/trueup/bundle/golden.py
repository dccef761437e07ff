"""Does a model answer here exactly as it did in development? Requests with the outputs recorded then."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as count_up
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import BadManifest, GoldenRowsDiffer
from trueup.bundle.features import FeatureSpec
from trueup.kernel.digests import canonical_json

if TYPE_CHECKING:
    import pyarrow as pa

MOST_REAL_ROWS = 2_000
MOST_EDGE_ROWS = 1_000
MOST_MIXED_ROWS = 400
MOST_VALUES = 4_000_000
"""Values in real and in edge rows, each a half of it: 1,000 columns still give 2,000 real rows, 10,000 columns 200."""
Output = tuple[float, ...] | None
"""A model's answer to one request: one number, or one for each class; None where it refuses the row."""
LARGEST = 1.7976931348623157e308
SMALLEST = 5e-324
JUST_BELOW_ONE = 1 - 2**-53
_EDGES: dict[str, tuple[Any, ...]] = {
    "number": (None, LARGEST, -LARGEST, SMALLEST, JUST_BELOW_ONE, -1.0, -0.0),
    "category": (None, "no such category", 1.5, -1, 1_000_000_007),
    "boolean": (None, True, False),
    "date": (None, "0001-01-01", "9999-12-31T23:59:59.999999"),
    "text": (None, "", "\u00e9\u4e2d\U0001f600"),
}


@dataclass(frozen=True)
class GoldenRow:
    """One request as its bytes arrive, and what the model answered."""

    request: str
    """A JSON object."""
    output: tuple[float, ...] | None
    """One number, or one for each class; None where the model refuses the row."""


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    rows: int
    differing: int
    """Rows that differ by more than was allowed."""
    largest_difference: float
    """0 where all are equal to the last bit; infinite where a refusal, NaN or infinity is on one side only."""
    decisions_differ: int | None = None
    """Rows on the other side of the cut-off; None where no cut-off was given."""


def requests_of(table: pa.Table, features: Sequence[FeatureSpec]) -> tuple[str, ...]:
    """Return every row of `table` as a request."""
    return tuple(canonical_json(row) for row in _json_rows(table, features))


def make_golden_requests(table: pa.Table, features: Sequence[FeatureSpec], *, edge: bool = True) -> tuple[str, ...]:
    """Return requests from rows of `table`, evenly spaced, followed by the rows at which converters are known to fail.

    Edge rows change one feature of a real row at a time (as many as 1,000 rows allow, each kind of value for all
    features first), then several at once, then all: missing, unknown category, fractional or negative code, huge, tiny,
    ``1 - 2**-53``, the neighbours of a real number and the middle of two. Wide tables give fewer rows, at least 20.
    """
    most = max(20, MOST_VALUES // max(1, len(features)) // 2)
    count = min(table.num_rows, MOST_REAL_ROWS, most)
    places = np.linspace(0, table.num_rows - 1, count).astype(np.int64) if count else np.array([], np.int64)
    rows = _json_rows(table.take(places), features)
    bases = rows or [dict.fromkeys(f.name for f in features)]
    if edge:
        half = max(10, most // 2)
        singles = islice(_single_edges(bases, features), min(MOST_EDGE_ROWS, half))
        mixed = islice(mixed_edges(bases, features), min(MOST_MIXED_ROWS, half))
        rows = [*rows, *singles, *mixed, *_joint_edges(features)]
    return tuple(canonical_json(row) for row in rows)


def golden_lines(rows: Sequence[GoldenRow]) -> bytes:
    """Return the content of ``golden.jsonl``; outputs are float64 in hexadecimal, so that no digit is lost."""
    lines = (
        canonical_json(
            {"request": row.request, "output": None if row.output is None else [x.hex() for x in row.output]}
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode()


def parse_golden(content: bytes) -> tuple[GoldenRow, ...]:
    """Return the rows of a ``golden.jsonl``."""
    try:
        return tuple(_parse_line(line) for line in content.decode().splitlines())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadManifest("golden.jsonl cannot be read: each line must hold a request and its output") from error


def compare_outputs(
    rows: Sequence[GoldenRow],
    outputs: Sequence[tuple[float, ...] | None],
    *,
    cutoff: float | None = None,
    tolerance: float = 0.0,
) -> Replay:
    """Return how the outputs found here differ from those recorded.

    Parameters
    ----------
    rows : sequence of GoldenRow
        What was recorded.
    outputs : sequence
        What the model answered here, in the same order.
    cutoff : float, optional
        Score from which a case is acted on; counts the decisions that would change (models with one output).
    tolerance : float
        Difference a row may have, relative where the recorded number is above 1; 0 asks for equality to the last bit.
    """
    gaps = [_gap(row.output, found) for row, found in zip(rows, outputs, strict=True)]
    moved = None
    if cutoff is not None:
        pairs = zip(rows, outputs, strict=True)
        moved = sum(_acts(row.output, cutoff) != _acts(found, cutoff) for row, found in pairs)
    allowed = [tolerance * max(1.0, *(abs(x) for x in row.output or (0.0,))) for row in rows]
    beyond = sum(
        gap is not None and (tolerance == 0 or not gap <= most) for gap, most in zip(gaps, allowed, strict=True)
    )
    return Replay(len(rows), beyond, max((g or 0.0 for g in gaps), default=0.0), moved)


def refuse_differences(replay: Replay, *, digest: str) -> None:
    """Raise when a replay found a difference, or a decision that moved.

    Raises
    ------
    GoldenRowsDiffer
        Says how many of how many rows, and the largest difference.
    """
    if not replay.differing and replay.decisions_differ:
        decisions = f"{replay.decisions_differ} decision{'s' * (replay.decisions_differ > 1)}"
        raise GoldenRowsDiffer(
            f"bundle {digest[:12]} is refused: {decisions} of {replay.rows} golden rows would be another here, "
            f"although no score differs by more than {replay.largest_difference:.3g}; train and package it again here",
            digest=digest,
            rows=replay.rows,
            decisions_differ=replay.decisions_differ,
        )
    if replay.differing:
        raise GoldenRowsDiffer(
            f"bundle {digest[:12]} is refused: {replay.differing} of {replay.rows} golden rows do not reproduce here, "
            f"the largest difference is {replay.largest_difference:.3g}; run it in the environment of its "
            "environment.lock, or train and package it again here",
            digest=digest,
            rows=replay.rows,
            differing=replay.differing,
            largest_difference=replay.largest_difference,
        )


def outputs_of(scores: NDArray[np.float64], refused: Sequence[int]) -> list[tuple[float, ...] | None]:
    """Return one output for each row of `scores`, shape (n,) or (n, k); None at the positions in `refused`."""
    if not len(scores):
        return []
    table = scores.reshape(len(scores), -1)
    absent = set(refused)
    return [None if i in absent else tuple(float(x) for x in row) for i, row in enumerate(table)]


def _json_rows(table: pa.Table, features: Sequence[FeatureSpec]) -> list[dict[str, Any]]:
    columns = {f.name: _json_values(table.column(f.name), f) for f in features}
    return [{name: values[i] for name, values in columns.items()} for i in range(table.num_rows)]


def _json_values(column: pa.ChunkedArray, feature: FeatureSpec) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_temporal(column.type) and feature.kind != "date":
        column = column.cast(pa.string())
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    return [_json_value(value) for value in column.to_pylist()]


def _json_value(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        value = float(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def mixed_edges(bases: Sequence[Mapping[str, Any]], features: Sequence[FeatureSpec]) -> Iterator[dict[str, Any]]:
    """Yield rows without end in which about a third of the features are changed, the same ones each time.

    Every second row keeps to known values, so that a model which refuses missing ones is tried too.
    """
    chance = random.Random(0)  # noqa: S311 - the same rows each time are wanted
    for turn in count_up():
        row = dict(bases[turn % len(bases)])
        for feature in features:
            if chance.random() < 1 / 3:
                other = chance.choice(bases)[feature.name]
                row[feature.name] = _mixed_value(chance, feature, row[feature.name], other, known=turn % 2 == 0)
        yield row


def _mixed_value(chance: random.Random, feature: FeatureSpec, value: Any, other: Any, *, known: bool) -> Any:
    """Return another row's value, a neighbour of this one, the middle of both, or an edge."""
    choices: list[Any] = [other, other]
    if feature.kind == "number" and isinstance(value, int | float) and isinstance(other, int | float):
        near = [math.nextafter(float(value), side) for side in (math.inf, -math.inf)]
        choices += [x for x in (*near, float(value) / 2 + float(other) / 2) if math.isfinite(x)]
    choices += [c for c in feature.categories[:50] if known]
    return chance.choice(choices if known else [*choices, *_EDGES[feature.kind]])


def _single_edges(bases: Sequence[Mapping[str, Any]], features: Sequence[FeatureSpec]) -> Iterator[dict[str, Any]]:
    changes = (
        (f.name, _EDGES[f.kind][turn])
        for turn in range(max((len(values) for values in _EDGES.values()), default=0))
        for f in features
        if turn < len(_EDGES[f.kind])
    )
    for place, (name, value) in enumerate(changes):
        yield {**bases[place % len(bases)], name: value}


def _joint_edges(features: Sequence[FeatureSpec]) -> Iterator[dict[str, Any]]:
    for turn in range(max(len(values) for values in _EDGES.values())):
        yield {f.name: _EDGES[f.kind][turn % len(_EDGES[f.kind])] for f in features}


def _parse_line(line: str) -> GoldenRow:
    entry = json.loads(line)
    output = entry["output"]
    if not isinstance(entry["request"], str):
        raise TypeError
    return GoldenRow(entry["request"], None if output is None else tuple(float.fromhex(x) for x in output))


def _gap(recorded: tuple[float, ...] | None, found: tuple[float, ...] | None) -> float | None:
    if recorded is None or found is None or len(recorded) != len(found):
        return None if recorded is None and found is None else math.inf
    gaps = [abs(a - b) for a, b in zip(recorded, found, strict=True) if a.hex() != b.hex()]
    return max((math.inf if math.isnan(gap) else gap for gap in gaps), default=None)


def _acts(output: tuple[float, ...] | None, cutoff: float) -> bool:
    return output is not None and len(output) == 1 and output[0] >= cutoff
