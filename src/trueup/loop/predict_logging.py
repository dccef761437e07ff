"""How do the decisions of a batch run come into the prediction log? As a server's: before they are told.

Rows of a batch become records of `ROWS_A_RECORD` rows under the id of the run, each row with its number in the whole.
Rows that were not decided are no predictions, and are not in the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.bundle.manifest import Manifest
from trueup.kernel.digests import digest_of
from trueup.lake.feature_schemas import write_schema
from trueup.lake.log_records import BATCH, DecidedRow, EventRecord, PredictionRecord, encode_record
from trueup.lake.personal import PersonalSealer
from trueup.lake.rolling import RollingLimits, RollingSegments
from trueup.lake.store import Store
from trueup.loop.predict_deciding import REASONS, ROLES, Decisions
from trueup.loop.predict_scoring import OWN
from trueup.serve.row_requests import PolicyColumns, RowReader
from trueup.serve.spooling import Spool

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_RECORD = 1_000
_LIMITS = RollingLimits(size=32 * 1024 * 1024, seconds=60.0)


def _no_tokens() -> None:
    """Return at once: no token is taken from a disk."""


@dataclass(frozen=True)
class LogTarget:
    """Where and how a project's predictions are logged."""

    store: Store
    """The lake."""
    spool: Spool
    """Of this host, shared with its servers."""
    clock: Callable[[], int]
    """Microseconds UTC."""
    ticks: Callable[[], int]
    """Nanoseconds of a clock that never goes back."""
    personal: tuple[str, ...] = ()
    """Columns whose values are sealed."""
    durable: bool = False
    """Whether what is logged survives a lost power."""
    sync_tokens: Callable[[], None] = _no_tokens
    """Returns when the tokens that decisions took are on the disk."""

    def runs(self, project: str) -> Path:
        """Return where it is noted what runs decided."""
        return self.spool.folder / project / "runs"


def logged_kinds(manifest: Manifest) -> dict[str, str]:
    """Return the columns that go to the log with their kinds: those of a server with this bundle."""
    return dict(RowReader(manifest.features, PolicyColumns.of(manifest.policy), most_rows=ROWS_A_RECORD).schema)


class RunLog:
    """The log as one run writes it.

    Parameters
    ----------
    target : LogTarget
    manifest : Manifest
        Of the bundle.
    run : bytes
        Its id.
    moment : int
        At which its rows are decided.
    allocation : str
    facts : mapping
        What else the log should know of the run; JSON values.

    Raises
    ------
    LakeError
        The lake does not take the schema of the rows.
    """

    def __init__(
        self,
        target: LogTarget,
        manifest: Manifest,
        *,
        run: bytes,
        moment: int,
        allocation: str,
        facts: Mapping[str, Any],
    ) -> None:
        project = manifest.project
        self._said = False
        self._target, self._run, self._moment = target, run, moment
        self._caller = BATCH + allocation
        self._model, self._policy = manifest.digest, digest_of(manifest.policy)
        self._width = len(manifest.classes) if manifest.task == "multiclass" else 0
        self._classes = manifest.classes
        self._facts = {**facts, "bundle": manifest.digest, "policy_version": self._policy, "allocation": allocation}
        self._schema = write_schema(target.store, logged_kinds(manifest))
        self._sealer = None
        personal = tuple(sorted({*target.personal, *manifest.policy.get("personal", ())}))
        if personal:
            self._sealer = PersonalSealer(target.spool.keys(project), personal, clock=target.clock)
        self._segments = RollingSegments(target.spool.hot(project), project, clock=target.clock, limits=_LIMITS)

    def write(self, batch: pa.RecordBatch, decisions: Decisions, *, first_row: int, since: int) -> None:
        """Log the rows of a batch that were decided, all or none.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            What `predict_scoring.score_part` said of them.
        decisions : Decisions
        first_row : int
            Number of the first row in the whole.
        since : int
            When they were read, by the target's ticks.

        Raises
        ------
        StoreFull, StoreReadOnly, StoreUnavailable, SegmentBroken
        """
        frames = [] if self._said else [self._event("resumed" if first_row else "begun", {"from_row": first_row})]
        kept = np.flatnonzero(~decisions.lost)
        rows = self._decided(batch, decisions, kept, first_row)
        bodies = batch.column(f"{OWN}body").take(kept).to_pylist()
        latency_us = max(0, (self._target.ticks() - since) // 1000)
        for start in range(0, len(rows), ROWS_A_RECORD):
            some = rows[start : start + ROWS_A_RECORD]
            frames.append(self._record(some, bodies[start : start + ROWS_A_RECORD], latency_us))
        self._append(frames)
        self._said = True

    def end(self, facts: Mapping[str, Any]) -> None:
        """Log that the run came to its end, and what it did; JSON values."""
        self._append([self._event("ended", facts)])

    def close(self) -> None:
        """End the segment, so that it can be sealed."""
        self._segments.roll()
        if self._sealer is not None:
            self._sealer.close()

    def _append(self, frames: list[bytes]) -> None:
        if self._sealer is not None and self._target.durable:
            self._sealer.sync()
        self._segments.append(frames)
        if self._target.durable:
            self._segments.sync()

    def _record(self, rows: list[DecidedRow], bodies: list[str], latency_us: int) -> bytes:
        body = f"[{','.join(bodies)}]".encode()
        if self._sealer is not None:
            body = self._sealer.seal_rows(body, [row.association_id for row in rows])
        return encode_record(
            PredictionRecord(
                prediction_id=self._run,
                decided_at=self._moment,
                caller=self._caller,
                policy_version=self._policy,
                schema_digest=self._schema,
                latency_us=latency_us,
                body=body,
                rows=tuple(rows),
            )
        )

    def _decided(self, batch: pa.RecordBatch, decisions: Decisions, kept: Any, first_row: int) -> list[DecidedRow]:
        if len(kept) < batch.num_rows:
            batch = batch.take(kept)
        of = {name: batch.column(name) for name in batch.schema.names}
        predicted = of[f"{OWN}predicted"].to_pylist()
        roles, reasons = decisions.roles[kept].tolist(), decisions.reasons[kept].tolist()
        columns = (
            (kept + first_row).tolist(),
            of["association_id"].to_pylist(),
            of[f"{OWN}moment"].to_pylist(),
            [ROLES[code] for code in roles],
            repeat(self._model),
            self._scores(of),
            of["expected_gain"].to_pylist(),
            decisions.qualifies[kept].tolist(),
            decisions.acted[kept].tolist(),
            predicted,
            [REASONS[code] for code in reasons],
            decisions.propensities[kept].tolist(),
        )
        return list(map(DecidedRow, *columns))

    def _scores(self, of: Mapping[str, Any]) -> list[tuple[float, ...] | None]:
        names = [f"score_{name}" for name in self._classes] if self._width else ["score"]
        every = zip(*(of[name].to_pylist() for name in names), strict=True)
        return [None if None in scores else scores for scores in every]

    def _event(self, what: str, facts: Mapping[str, Any]) -> bytes:
        now = self._target.clock()
        told = {"what": what, **self._facts, **facts}
        return encode_record(
            EventRecord(
                fact_id=_fact_id(self._run, f"{what} {facts.get('from_row')}"),
                kind="batch",
                association_id=None,
                facts=json.dumps(told, sort_keys=True),
                known_at=now,
                recorded_at=now,
                caller=self._caller,
            )
        )


def _fact_id(run: bytes, what: str) -> bytes:
    """Return an id that is the same whenever the same is said of a run: a UUIDv7 of the run's time."""
    rest = int.from_bytes(hashlib.sha256(run + what.encode()).digest()[:10], "big")
    rest = rest & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 2 << 62
    return run[:6] + rest.to_bytes(10, "big")
