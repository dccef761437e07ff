"""What do the records of the log look like as tables? Narrow ones with fixed columns, one row for each row or fact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trueup.kernel.ids import id_as_text
from trueup.lake.log_records import (
    EventRecord,
    FactRecord,
    InterventionRecord,
    OutcomeRecord,
    PredictionRecord,
    Record,
    SchemaRecord,
    VerdictRecord,
)

if TYPE_CHECKING:
    import pyarrow as pa

_FACT = {
    "fact_id": "text",
    "association_id": "text",
    "prediction_id": "text",
    "known_at": "moment",
    "recorded_at": "moment",
    "caller": "text",
}
COLUMNS: dict[str, dict[str, str]] = {
    "predictions": {
        "prediction_id": "text",
        "row": "whole",
        "association_id": "text",
        "event_time": "moment",
        "decided_at": "moment",
        "caller": "text",
        "role": "text",
        "model_version": "text",
        "policy_version": "text",
        "schema_digest": "text",
        "score": "number",
        "scores": "numbers",
        "expected_gain": "number",
        "qualifies": "flag",
        "acted": "flag",
        "predicted_number": "number",
        "predicted_class": "text",
        "reason": "text",
        "propensity": "number",
        "latency_us": "whole",
    },
    "outcomes": {**_FACT, "outcome_flag": "flag", "outcome_number": "number", "outcome_class": "text"},
    "interventions": {**_FACT, "acted": "flag", "note": "text"},
    "verdicts": {**_FACT, "agrees": "flag", "reviewer": "text", "reason": "text"},
    "events": {
        "fact_id": "text",
        "association_id": "text",
        "known_at": "moment",
        "recorded_at": "moment",
        "caller": "text",
        "kind": "text",
        "facts": "text",
    },
}
"""Columns of each table with what they hold. `score` is the one number of a row, `scores` one for each class; an
outcome is in the column of its type, and withdrawn where all three are null."""

TIME_OF = {table: "decided_at" if table == "predictions" else "recorded_at" for table in COLUMNS}
ID_OF = {table: "prediction_id" if table == "predictions" else "fact_id" for table in COLUMNS}
Rows = list[tuple[Any, ...]]


def rows_by_table(records: Iterable[Record]) -> dict[str, Rows]:
    """Return the rows of all records, by table, in their order; values are in the order of `COLUMNS`."""
    found: dict[str, Rows] = {table: [] for table in COLUMNS}
    for record in records:
        if isinstance(record, PredictionRecord):
            found["predictions"] += _prediction_rows(record)
        elif not isinstance(record, SchemaRecord):
            table, row = _fact_row(record)
            found[table].append(row)
    return found


def row_names(record: PredictionRecord) -> Callable[[int], str]:
    """Return what gives the id of a row, as answers tell it: the UUID, from the second row on with ``:row``."""
    request = id_as_text(record.prediction_id)
    return lambda row: f"{request}:{row}" if row else request


def as_arrow(table: str, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Return rows as an Arrow table."""
    import pyarrow as pa

    columns = COLUMNS[table]
    schema = pa.schema([(name, arrow_type(kind)) for name, kind in columns.items()])
    values: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [[] for _ in columns]
    return pa.table([pa.array(v, schema.field(i).type) for i, v in enumerate(values)], schema=schema)


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of what a column holds."""
    import pyarrow as pa

    return {
        "text": pa.string(),
        "whole": pa.int64(),
        "number": pa.float64(),
        "numbers": pa.list_(pa.float64()),
        "flag": pa.bool_(),
        "moment": pa.timestamp("us", tz="UTC"),
        "bytes": pa.binary(),
    }[kind]


def _prediction_rows(record: PredictionRecord) -> Iterator[tuple[Any, ...]]:
    name = row_names(record)
    for decided in record.rows:
        scores, predicted = decided.scores, decided.predicted
        alone = scores is not None and len(scores) == 1
        yield (
            name(decided.row),
            decided.row,
            decided.association_id,
            decided.event_time,
            record.decided_at,
            record.caller,
            decided.role,
            decided.model_version,
            record.policy_version,
            record.schema_digest,
            scores[0] if scores is not None and alone else None,
            None if alone else scores,
            decided.expected_gain,
            decided.qualifies,
            decided.acted,
            predicted if isinstance(predicted, float) else None,
            predicted if isinstance(predicted, str) else None,
            decided.reason,
            decided.propensity,
            record.latency_us,
        )


def _fact_row(record: FactRecord) -> tuple[str, tuple[Any, ...]]:
    fact = id_as_text(record.fact_id)
    if isinstance(record, EventRecord):
        times = (record.known_at, record.recorded_at, record.caller)
        return "events", (fact, record.association_id, *times, record.kind, record.facts)
    head = (fact, record.association_id, record.prediction_id, record.known_at, record.recorded_at, record.caller)
    match record:
        case OutcomeRecord(outcome=value):
            flag = value if isinstance(value, bool) else None
            number = float(value) if isinstance(value, float | int) and not isinstance(value, bool) else None
            return "outcomes", (*head, flag, number, value if isinstance(value, str) else None)
        case InterventionRecord():
            return "interventions", (*head, record.acted, record.note)
        case VerdictRecord():
            return "verdicts", (*head, record.agrees, record.reviewer, record.reason)
