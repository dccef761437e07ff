"""Records and segments for the tests of the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueup.kernel.ids import IdMint, id_as_text
from trueup.lake.disk import SystemDisk
from trueup.lake.log_records import (
    CHAMPION,
    DecidedRow,
    EventRecord,
    InterventionRecord,
    OutcomeRecord,
    PredictionRecord,
    Record,
    VerdictRecord,
    encode_record,
)
from trueup.lake.segments import SegmentWriter

NOON = 1_700_000_000_000_000
SECOND = 1_000_000
KINDS = {"amount": "number", "broker": "category"}
mint = IdMint()


def a_row(place: int = 0, case: str | None = "c1", **other: Any) -> DecidedRow:
    facts: dict[str, Any] = {
        "row": place,
        "association_id": case,
        "event_time": NOON - SECOND,
        "role": CHAMPION,
        "model_version": "m1",
        "scores": (0.25,),
        "expected_gain": 12.5,
        "qualifies": True,
        "acted": False,
        "predicted": None,
        "reason": "capacity",
        "propensity": 1.0,
    }
    return DecidedRow(**{**facts, **other})


def a_prediction(
    *rows: DecidedRow, body: object = None, schema: str = "", at: int = NOON, request: bytes = b""
) -> PredictionRecord:
    return PredictionRecord(
        prediction_id=request or mint.new(at),
        decided_at=at,
        caller="shop",
        policy_version="p1",
        schema_digest=schema,
        latency_us=120,
        body=b"" if body is None else json.dumps(body).encode(),
        rows=rows or (a_row(),),
    )


def an_outcome(case: str | None, value: bool | float | str | None, *, at: int = NOON, **other: Any) -> OutcomeRecord:
    facts: dict[str, Any] = {"fact_id": mint.new(at), "prediction_id": None, "known_at": at, "recorded_at": at}
    return OutcomeRecord(association_id=case, outcome=value, caller="crm", **{**facts, **other})


def an_intervention(case: str | None, acted: bool, *, at: int = NOON, **other: Any) -> InterventionRecord:
    facts: dict[str, Any] = {"fact_id": mint.new(at), "prediction_id": None, "known_at": at, "recorded_at": at}
    return InterventionRecord(association_id=case, acted=acted, caller="crm", **{**facts, **other})


def a_verdict(case: str, agrees: bool, *, at: int = NOON) -> VerdictRecord:
    return VerdictRecord(mint.new(at), case, None, agrees, "ann", "seen before", at, at, "desk")


def an_event(case: str, kind: str, *, at: int = NOON) -> EventRecord:
    return EventRecord(mint.new(at), kind, case, '{"by":"phone"}', at, at, "crm")


def a_segment(hot: Path, records: Sequence[Record], *, now: int = NOON, torn: bytes = b"") -> Path:
    """Write a finished segment, and what a killed writer may leave at its end."""
    writer = SegmentWriter(hot, "p", disk=SystemDisk(), now=now)
    writer.append([encode_record(record) for record in records])
    killed = writer.path.read_bytes() + torn
    writer.close()
    if torn:
        writer.path.write_bytes(killed)
    return writer.path


def name_of(record: PredictionRecord) -> str:
    return id_as_text(record.prediction_id)
