"""What does the log of a project hold? One record for each answered request, and one for each fact that came in.

A record is written as one frame of a segment (`lake/segments.py`) before the answer leaves, and sealed into tables
later (`lake/sealing.py`). Moments are microseconds UTC. Nothing slower than msgspec is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trueup.lake.errors import LakeError

BATCH = "batch/"
"""What the caller of a batch run begins with; no caller of a server does."""
CHAMPION, CANARY, SHADOW = "champion", "canary", "shadow"
CONTROL, EXPLORATION, FALLBACK = "control", "exploration", "fallback"
ROLES = (CHAMPION, CANARY, SHADOW, CONTROL, EXPLORATION, FALLBACK)
"""What decided a row. Shadows decide nothing: their rows are never acted on and are not cases."""


class BadRecord(LakeError):
    """The bytes of a frame are no record of this version."""

    code = "lake.bad-record"


class DecidedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of a request, as one role decided it."""

    row: int
    """Position in the request, or in the whole of a batch run, from 0."""
    association_id: str | None
    """The case; None where the caller did not say."""
    event_time: int | None
    role: str
    model_version: str
    """Digest of the bundle that answered; with `fallback` of the one that should have."""
    scores: tuple[float, ...] | None
    """One number, or one for each class; None where no model answered."""
    expected_gain: float | None
    """Of acting, in the currency; None where nothing could be expected, and for numbers and classes."""
    qualifies: bool
    """Worth acting on, before capacity."""
    acted: bool
    predicted: float | str | None
    """The predicted number or class; None for yes-or-no decisions."""
    reason: str
    """Why: a code of `align/streaming.py`, or ``fallback:`` and what failed."""
    propensity: float
    """Probability with which chance let this role decide this row, 0 to 1."""


class PredictionRecord(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """One answer to one request."""

    prediction_id: bytes
    """16 bytes (`kernel/ids.py`)."""
    decided_at: int
    caller: str
    """Name of the token; `BATCH` and how the capacity was given out, of a batch run."""
    policy_version: str
    schema_digest: str
    """Names the types of the features in `body`; under ``schemas/`` in the lake."""
    latency_us: int
    """From the request's last byte to this record."""
    body: bytes
    """The rows as they were served, a JSON array of objects, personal values sealed; empty for a shadow, whose rows
    stand in the record with the same id."""
    rows: tuple[DecidedRow, ...]


class OutcomeRecord(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """What became of a case. A later record of the same case corrects it."""

    fact_id: bytes
    """16 bytes; the caller's own where given, so that a retry counts once."""
    association_id: str | None
    prediction_id: str | None
    """As the answer gave it. One of the two is given."""
    outcome: bool | float | str | None
    """None withdraws what was said before."""
    known_at: int
    recorded_at: int
    caller: str


class InterventionRecord(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """What was really done with a case."""

    fact_id: bytes
    association_id: str | None
    prediction_id: str | None
    acted: bool
    known_at: int
    recorded_at: int
    caller: str
    note: str | None = None


class VerdictRecord(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """What a reviewer said of a decision."""

    fact_id: bytes
    association_id: str | None
    prediction_id: str | None
    agrees: bool
    reviewer: str
    reason: str | None
    known_at: int
    recorded_at: int
    caller: str


class EventRecord(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """A dated business fact, such as a contact or an interruption."""

    fact_id: bytes
    kind: str
    association_id: str | None
    facts: str
    """A JSON object."""
    known_at: int
    recorded_at: int
    caller: str


class SchemaRecord(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Of which kinds the features in a segment are: it comes before the first record that names its digest."""

    schema_digest: str
    kinds: dict[str, str]
    """By column."""


Record = SchemaRecord | PredictionRecord | OutcomeRecord | InterventionRecord | VerdictRecord | EventRecord
FactRecord = OutcomeRecord | InterventionRecord | VerdictRecord | EventRecord

encode_record: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
"""Return the frame of a `Record`."""
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def decode_record(frame: bytes) -> Record:
    """Return the record of a frame.

    Raises
    ------
    BadRecord
        When it is none, or one of a newer version.
    """
    try:
        return _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRecord(f"a frame of {len(frame)} bytes is no record that this version of Trueup knows") from error
