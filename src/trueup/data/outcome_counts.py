"""What became of predictions, day by day? Predictions joined to outcomes as known at a moment, counted by score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.data.duck import connect, quoted, quoted_text
from trueup.data.errors import DataError
from trueup.measure.gaincounts import GAIN_SHIFT, SUMS, GainCounts
from trueup.measure.metrics import SMALLEST_PROBABILITY
from trueup.measure.scorecounts import BINS, ScoreCounts

if TYPE_CHECKING:
    import duckdb

Grouped = dict[str, NDArray[Any]]
_NO_DAY = _NO_GAIN = -(2**40)
_SUMS = ("n", "scores", "final", "final_scores", "positives", "if_acted", "if_not", "losses")
"""In the order of the rows of `ScoreCounts.table`."""
_GAIN_SUMS = dict(zip(SUMS, ("n", "gains", "final", "final_gains", "positives", "if_acted", "if_not"), strict=True))
_LOSSES = (
    "sum(-ln(least(greatest(CASE WHEN outcome = 1 THEN score ELSE 1 - score END, "
    f"{SMALLEST_PROBABILITY!r}), {1.0 - SMALLEST_PROBABILITY!r}))) FILTER (outcome IS NOT NULL)"
)


_PARTS = 2 ** (52 - GAIN_SHIFT)
"""Keys of a gain for each power of two."""
_MAGNITUDE = (
    f"CASE WHEN abs(gain) < 2.2250738585072014e-308 THEN floor(abs(gain) * pow(2.0, 1022) * {_PARTS}) "
    f"ELSE (floor(log2(abs(gain))) + 1023) * {_PARTS} "
    f"+ floor((abs(gain) / pow(2.0, floor(log2(abs(gain)))) - 1) * {_PARTS}) END"
)
"""`profiles.number_keys` of a number above 0; a logarithm that is rounded to the next power of two changes nothing."""
_GAIN_KEY = (
    f"CASE WHEN gain IS NULL THEN {_NO_GAIN} WHEN gain < 0 THEN -1 - CAST({_MAGNITUDE} AS BIGINT) "
    f"ELSE CAST({_MAGNITUDE} AS BIGINT) END"
)


class NotJoinable(DataError):
    """Predictions and outcomes cannot be joined as asked."""

    code = "data.not-joinable"


@dataclass(frozen=True)
class PredictionFiles:
    """Where predictions are: Parquet files, one row for each prediction, and what their columns are called."""

    files: Sequence[Path]
    key: str = "prediction_id"
    """Names a prediction, once; where it rises with time, late outcomes touch few row groups."""
    time: str = "event_time"
    """A date or timestamp; without a zone it is UTC."""
    score: str = "score"
    expected_gain: str | None = None
    """Gain expected of acting, in the currency; None counts by score only."""


@dataclass(frozen=True)
class OutcomeFiles:
    """Where outcomes are: Parquet files, one row for each time an outcome became known or was corrected."""

    files: Sequence[Path]
    key: str = "prediction_id"
    outcome: str = "outcome"
    """1 or true is positive; missing takes back what was known."""
    known_at: str | None = "known_at"
    """When the business knew; None where all of it is known."""
    payoff_if_acted: str | None = None
    """In the currency, like the next."""
    payoff_if_not: str | None = None


@dataclass(frozen=True)
class OutcomeCounts:
    """What became of predictions; every row that was read is in one of the counts."""

    days: Mapping[int, ScoreCounts] = field(default_factory=dict)
    """By day of the prediction, counted from 1970-01-01 in UTC."""
    gains: Mapping[int, GainCounts] = field(default_factory=dict)
    """By day like `days`: predictions with a time and an expected gain, where one was named."""
    predictions: int = 0
    without_gain: int = 0
    """Predictions whose expected gain is missing or no finite number, where one was named; in no day of `gains`."""
    without_score: int = 0
    """Predictions whose score is missing or not in [0, 1]; in no day."""
    without_time: int = 0
    """Predictions with a score and no time; in no day."""
    waiting: int = 0
    """Predictions in a day whose outcome is not known."""
    outcome_rows: int = 0
    not_known_yet: int = 0
    """Rows of outcomes known only after `as_of`, or not said when."""
    superseded: int = 0
    """Rows known by `as_of` that a later one of the same prediction corrects."""
    without_prediction: int = 0
    """Known outcomes, the latest of each key, that belong to no prediction."""


def count_outcomes(
    predictions: PredictionFiles,
    outcomes: OutcomeFiles,
    *,
    as_of: int,
    scratch: Path,
    bins: int = BINS,
    memory_limit_mb: int = 1024,
    threads: int = 2,
) -> OutcomeCounts:
    """Return the daily counts of predictions with the outcomes known at `as_of`.

    Parameters
    ----------
    as_of : int
        Microseconds since 1970, UTC. Of several rows for one prediction the latest known by then counts; of rows known
        at the same moment, the one that takes an outcome back, else the larger outcome.
    scratch : Path
        Where a join that outgrows `memory_limit_mb` spills to.

    Raises
    ------
    NotJoinable
        When a file is unreadable, a column missing, keys are of different kinds, or a key names several predictions
        of which one has an outcome.

    Notes
    -----
    One hash join, grouped by day and score bin as its rows come out. Whether a prediction has several outcomes is told
    by the number of joined rows: only then are outcomes sorted out first, and joined again. Sums of scores and payoffs
    are added in no fixed order: their last digits may differ from run to run.
    """
    with _database(scratch, memory_limit_mb=memory_limit_mb, threads=threads) as database:
        made = _number(database, f"SELECT count(*) FROM {_read(predictions.files)}")  # noqa: S608
        told = _number(database, f"SELECT count(*) FROM {_read(outcomes.files)}")  # noqa: S608
        rows = _known_rows(outcomes, as_of=as_of)
        known = _number(database, f"SELECT count(*) FROM ({rows})")  # noqa: S608
        each = known
        grouped, gains = _grouped(database, predictions, rows, join="LEFT", bins=bins)
        if int(grouped["n"].sum()) != made or int(grouped["matched"].sum()) != known:
            rows = _latest(rows)
            each = _number(database, f"SELECT count(*) FROM ({rows})")  # noqa: S608
            grouped, gains = _grouped(database, predictions, rows, join="LEFT", bins=bins)
    matched = int(grouped["matched"].sum())
    if matched > each:
        raise NotJoinable(
            f"{matched - each:,} predictions have the {predictions.key} of another one; a key names one prediction",
            key=predictions.key,
            repeated=matched - each,
        )
    in_a_day = _in_a_day(grouped)
    has_score = grouped["bin"] >= 0
    return OutcomeCounts(
        days=_days(grouped, bins=bins),
        gains=_gains(gains),
        predictions=made,
        without_gain=int(gains["n"][gains["gain_key"] == _NO_GAIN].sum()),
        without_score=int(grouped["n"][~has_score].sum()),
        without_time=int(grouped["n"][has_score & ~in_a_day].sum()),
        waiting=int((grouped["n"] - grouped["final"])[in_a_day].sum()),
        outcome_rows=told,
        not_known_yet=told - known,
        superseded=known - each,
        without_prediction=each - matched,
    )


def count_late_outcomes(
    predictions: PredictionFiles,
    outcomes: OutcomeFiles,
    *,
    as_of: int,
    scratch: Path,
    bins: int = BINS,
    memory_limit_mb: int = 1024,
    threads: int = 2,
) -> Mapping[int, ScoreCounts]:
    """Return by day what a batch of new outcomes adds to counts that have the predictions already.

    Only cases with an outcome are counted, and no case for the second time: `scorecounts.merge_scores` adds them to the
    counts of the day; there are none by expected gain. The outcomes must be the first of their predictions; after
    a correction `count_outcomes` counts anew. Row groups whose keys lie outside of those of the batch are not read.
    """
    with _database(scratch, memory_limit_mb=memory_limit_mb, threads=threads) as database:
        rows = _latest(_known_rows(outcomes, as_of=as_of))
        by_score = replace(predictions, expected_gain=None)
        grouped, _ = _grouped(database, by_score, rows, join="INNER", bins=bins)
    nothing = np.zeros(len(grouped["n"]))
    return _days({**grouped, "n": nothing, "scores": nothing}, bins=bins)


@contextmanager
def _database(scratch: Path, *, memory_limit_mb: int, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    connection = connect(memory_limit_mb=memory_limit_mb, threads=threads, temp_directory=scratch)
    try:
        yield connection
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise NotJoinable(
            f"predictions and outcomes cannot be joined: {reason}; name the Parquet files and their columns"
        ) from error
    finally:
        connection.close()


def _known_rows(outcomes: OutcomeFiles, *, as_of: int) -> str:
    """Return the SQL of the rows of outcomes that were known."""
    known_at = "NULL" if outcomes.known_at is None else f"CAST({quoted(outcomes.known_at)} AS TIMESTAMP)"
    condition = "" if outcomes.known_at is None else f" WHERE {known_at} <= make_timestamp({as_of})"
    return (
        f"SELECT {quoted(outcomes.key)} AS key, {known_at} AS known_at, "  # noqa: S608
        f"{_finite(quoted(outcomes.outcome))} AS outcome, {_payoff(outcomes.payoff_if_acted)} AS if_acted, "
        f"{_payoff(outcomes.payoff_if_not)} AS if_not "
        f"FROM {_read(outcomes.files)}{condition}"
    )


def _latest(rows: str) -> str:
    """Return the SQL of the latest row of each key; rows without a key stay, each by itself."""
    return (
        "SELECT key, row.* FROM (SELECT key, max(struct_pack(known_at, outcome, if_acted, if_not)) AS row "  # noqa: S608
        f"FROM ({rows}) WHERE key IS NOT NULL GROUP BY key) UNION ALL SELECT * FROM ({rows}) WHERE key IS NULL"
    )


def _grouped(
    database: duckdb.DuckDBPyConnection, predictions: PredictionFiles, rows: str, *, join: str, bins: int
) -> tuple[Grouped, Grouped]:
    """Return sums by day and score bin, and by day and key of the gain; -1 stands for no score."""
    score = f"CAST({quoted(predictions.score)} AS DOUBLE)"
    gain = "NULL" if predictions.expected_gain is None else _real(quoted(predictions.expected_gain))
    keys, sets = "gain_key, grouping(bin) AS by_gain", "GROUPING SETS ((day, bin), (day, gain_key))"
    if predictions.expected_gain is None:
        keys, sets = f"{_NO_GAIN} AS gain_key, 0 AS by_gain", "day, bin"
    query = f"""
        SELECT day, bin, {keys}, count(*) AS n, sum(score) AS scores,
               count(outcome) AS final,
               sum(score) FILTER (outcome IS NOT NULL) AS final_scores, count(*) FILTER (outcome = 1) AS positives,
               sum(gain) AS gains, sum(gain) FILTER (outcome IS NOT NULL) AS final_gains,
               sum(if_acted) FILTER (outcome IS NOT NULL) AS if_acted,
               sum(if_not) FILTER (outcome IS NOT NULL) AS if_not, {_LOSSES} AS losses, count(o.key) AS matched
        FROM (SELECT *, {_GAIN_KEY} AS gain_key FROM (
              SELECT {quoted(predictions.key)} AS key, {score} AS score, CAST({gain} AS DOUBLE) AS gain,
                     coalesce(CAST({quoted(predictions.time)} AS DATE) - DATE '1970-01-01', {_NO_DAY}) AS day,
                     CASE WHEN {score} BETWEEN 0 AND 1 THEN least(floor({score} * {bins}), {bins - 1})
                          ELSE -1 END AS bin
              FROM {_read(predictions.files)})) p
        {join} JOIN ({rows}) o ON p.key = o.key
        GROUP BY {sets}"""  # noqa: S608
    found = database.execute(query).fetchnumpy()
    whole = {name: np.ma.filled(np.ma.asarray(column), 0) for name, column in found.items()}
    by_gain = whole["by_gain"] == 1
    return {n: column[~by_gain] for n, column in whole.items()}, {n: column[by_gain] for n, column in whole.items()}


def _in_a_day(grouped: Grouped) -> NDArray[np.bool_]:
    return np.asarray((grouped["bin"] >= 0) & (grouped["day"] != _NO_DAY), dtype=np.bool_)


def _days(grouped: Grouped, *, bins: int) -> dict[int, ScoreCounts]:
    some = _in_a_day(grouped)
    day, column = grouped["day"][some].astype(np.int64), grouped["bin"][some].astype(np.int64)
    days, index = np.unique(day, return_inverse=True)
    tables = np.zeros((len(days), len(_SUMS), bins))
    for row, name in enumerate(_SUMS):
        tables[index, row, column] = grouped[name][some]
    return {number: ScoreCounts(table) for number, table in zip(days.tolist(), tables, strict=True)}


def _gains(grouped: Grouped) -> dict[int, GainCounts]:
    some = (grouped["day"] != _NO_DAY) & (grouped["gain_key"] != _NO_GAIN)
    day, keys = grouped["day"][some].astype(np.int64), grouped["gain_key"][some].astype(np.int64)
    order = np.lexsort((keys, day))
    table = np.stack([grouped[_GAIN_SUMS[name]][some][order].astype(np.float64) for name in SUMS])
    days, starts = np.unique(day[order], return_index=True)
    ends = np.append(starts, len(order))[1:]
    return {
        number: GainCounts(keys[order][start:end], table[:, start:end])
        for number, start, end in zip(days.tolist(), starts.tolist(), ends, strict=True)
    }


def _read(files: Sequence[Path]) -> str:
    if not files:
        raise NotJoinable("there is no file of predictions or of outcomes; name one Parquet file or more of each")
    return f"read_parquet([{', '.join(quoted_text(str(path)) for path in files)}])"


def _real(column: str) -> str:
    return f"CASE WHEN isfinite(CAST({column} AS DOUBLE)) THEN {column} END"


def _finite(column: str) -> str:
    return f"nullif(CAST({column} AS DOUBLE), CAST('nan' AS DOUBLE))"


def _payoff(name: str | None) -> str:
    return "0.0" if name is None else _finite(quoted(name))


def _number(database: duckdb.DuckDBPyConnection, query: str) -> int:
    row = database.execute(query).fetchone()
    return int(row[0]) if row else 0
