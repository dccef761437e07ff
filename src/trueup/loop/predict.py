"""What does a bundle decide for all rows of a file or table? The same scores, policy and law as a server's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trueup.align.decision_policy import DecisionPolicy
from trueup.align.streaming import MemoryTokens, StreamDecider, Terms, TokenCounter, pace_from
from trueup.bundle.layout import REFERENCE_FOLDER
from trueup.bundle.loading import read_checked, verify_bundle
from trueup.bundle.manifest import Manifest
from trueup.compute.pool import run_stream
from trueup.kernel.errors import nearest_spelling
from trueup.kernel.ids import id_as_text
from trueup.loop.predict_deciding import (
    PREDICTED,
    REASONS,
    Decisions,
    Facts,
    Ruling,
    decide_period,
    decide_streaming,
)
from trueup.loop.predict_reading import FORMATS, CannotPredict, Source
from trueup.loop.predict_scoring import BAD_ROW, MISSING_FEATURES, NO_TIME, OWN, Setup, Task, score_part
from trueup.loop.predict_writing import Writer, open_writer

if TYPE_CHECKING:
    import pyarrow as pa

Allocation = Literal["streaming", "period"]
Clock = Literal["now", "event"]
Progress = Callable[[int, int | None], None]
PACE = f"{REFERENCE_FOLDER}/pace.json"
MOST_ROWS = 2**32
_SHOWN = 10
_UNDECIDED = (BAD_ROW, MISSING_FEATURES, NO_TIME)


@dataclass(frozen=True)
class Order:
    """How rows are to be decided."""

    allocation: Allocation = "streaming"
    """``period`` sees all rows of a period before it decides the first."""
    clock: Clock = "now"
    """``event``: each row at its event time, by tokens of its own: a rehearsal, which takes nothing from production."""
    keep: tuple[str, ...] = ()
    """Columns of the rows that stand beside the answers."""
    workers: int = 1


@dataclass
class Predicted:
    """What a run did."""

    bundle: str
    run: str
    """Its id; with ``:`` and the number of a row, the prediction's."""
    allocation: Allocation
    clock: Clock
    output: str
    rows: int = 0
    qualify: int = 0
    acted: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows by why they were decided as they were."""
    undecided: list[int] = field(default_factory=list)
    """The first rows without a decision, from 1."""
    unreadable_lines: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return asdict(self)

    def note(self, decisions: Decisions) -> None:
        """Count some more rows."""
        for code, count in zip(*np.unique(decisions.reasons, return_counts=True), strict=True):
            self.reasons[REASONS[code]] = self.reasons.get(REASONS[code], 0) + int(count)
        lost = np.isin(decisions.reasons, [REASONS.index(reason) for reason in _UNDECIDED])
        self.undecided += (np.flatnonzero(lost)[: _SHOWN - len(self.undecided)] + self.rows + 1).tolist()
        self.rows += len(decisions.acted)
        self.qualify += int(decisions.qualifies.sum())
        self.acted += int(decisions.acted.sum())


def predict(
    source: Source,
    out: Path,
    *,
    setup: Setup,
    order: Order,
    tokens: TokenCounter,
    now: int,
    run: bytes,
    scratch: Path,
    progress: Progress | None = None,
) -> Predicted:
    """Answer every row of `source`, in its order, into `out`, which appears whole or not at all.

    Parameters
    ----------
    source : Source
    out : Path
        ``.parquet``, ``.csv`` or ``.jsonl``.
    setup : Setup
        The bundle, and whose signatures count.
    order : Order
    tokens : TokenCounter
        Of production; not touched with ``clock = "event"``.
    now : int
        When rows are decided, in microseconds UTC.
    run : bytes
        Id of the run, 16 bytes; the same id takes no token a second time.
    scratch : Path
        Folder for scored rows that wait for all others.
    progress : callable, optional
        Called with rows done, and rows in all where that is known.

    Raises
    ------
    CannotPredict
        The bundle has no policy, a column is not there, a file cannot be read or has another format, or no row has one.
    BundleRefused
        What `bundle.loading.verify_bundle` raises.

    Notes
    -----
    A row that cannot be read is kept with an empty score and decision. Memory does not grow with the rows, but for some
    35 bytes a row with ``allocation = "period"`` or ``clock = "event"``, which see all before the first is decided.
    """
    manifest = verify_bundle(setup.bundle, trusted_keys=setup.trusted_keys, today=setup.today)
    _check(source, out, manifest, order)
    policy = DecisionPolicy(manifest.policy, classes=manifest.classes)
    ruling = _ruling(setup.bundle, manifest, policy, order=order, tokens=tokens, run=run)
    tasks = (Task(setup, part) for part in source.parts())
    scored = _watched(run_stream(score_part, tasks, workers=order.workers), source, progress)
    told = Predicted(manifest.digest, id_as_text(run), order.allocation, order.clock, str(out))
    made = out.with_name(f".{out.name}.partial")
    try:
        with open_writer(
            made, out.suffix.lower(), facts={"allocation": order.allocation, "clock": order.clock}
        ) as writer:
            if policy.task != "binary":
                _write_values(scored, writer, told)
            elif order.allocation == "streaming" and order.clock == "now":
                for batch in scored:
                    facts = Facts.of([batch], now=now)
                    _write(batch, decide_streaming(ruling, facts, first_row=told.rows), writer, told)
            else:
                _write_after_all(scored, ruling, writer, told, now=now, scratch=scratch)
        if not told.rows:
            raise CannotPredict("the source holds no rows; nothing was written")
        made.replace(out)
    finally:
        made.unlink(missing_ok=True)
    told.unreadable_lines = source.unreadable
    return told


def _check(source: Source, out: Path, manifest: Manifest, order: Order) -> None:
    if not manifest.policy:
        raise CannotPredict(
            f"bundle {manifest.digest[:12]} has scores but no charter, so nothing can be decided; package it in a "
            "project, or let it answer with: trueup bundle run",
            bundle=manifest.digest,
        )
    if out.suffix.lower() not in FORMATS:
        raise CannotPredict(f'"{out.name}" is none of {", ".join(FORMATS)}', path=str(out))
    if out.resolve() in {file.resolve() for file in source.files}:
        raise CannotPredict(f'"{out.name}" holds the rows; name another file for the answers', path=str(out))
    if source.columns is not None:
        for name in (*order.keep, *(feature.name for feature in manifest.features)):
            if name not in source.columns:
                raise CannotPredict(
                    f'the source has no column "{name}"{nearest_spelling(name, source.columns)}; the model, or --keep, '
                    "needs it",
                    column=name,
                )


def _ruling(
    bundle: Path, manifest: Manifest, policy: DecisionPolicy, *, order: Order, tokens: TokenCounter, run: bytes
) -> Ruling:
    if order.clock == "event":
        tokens = MemoryTokens()
    pace = pace_from(json.loads(read_checked(bundle, PACE, manifest))) if PACE in manifest.files else None
    terms = Terms.of(policy)
    decider = StreamDecider(terms, pace=pace, tokens=tokens)
    return Ruling(decider, terms, tokens, run, has_fallback=manifest.policy["fallback"] is not None)


def _watched(scored: Iterator[pa.RecordBatch], source: Source, progress: Progress | None) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in scored:
        yield batch
        done += batch.num_rows
        if done > MOST_ROWS:
            raise CannotPredict(f"the source has more than {MOST_ROWS:,} rows; predict it in parts")
        if progress is not None:
            progress(done, source.total)


def _write_values(scored: Iterable[pa.RecordBatch], writer: Writer, told: Predicted) -> None:
    """Write numbers or classes, which need no capacity."""
    code = {reason: REASONS.index(reason) for reason in REASONS}
    for batch in scored:
        failures = batch.column(f"{OWN}failure").to_pylist()
        has = batch.column(f"{OWN}predicted").is_valid().to_numpy(zero_copy_only=False)
        ruled = batch.column(f"{OWN}control").to_numpy(zero_copy_only=False) & has
        why = [
            code["control"]
            if ruled[i]
            else code[PREDICTED]
            if failure is None
            else code[f"fallback:{failure}"]
            if has[i] and failure == MISSING_FEATURES
            else code[failure]
            for i, failure in enumerate(failures)
        ]
        nobody = np.zeros(batch.num_rows, dtype=bool)
        _write(batch, Decisions(nobody, nobody, np.array(why, dtype=np.uint8)), writer, told)


def _write_after_all(
    scored: Iterable[pa.RecordBatch], ruling: Ruling, writer: Writer, told: Predicted, *, now: int, scratch: Path
) -> None:
    """Keep what was scored aside until all of it was seen, then decide and write."""
    import pyarrow as pa

    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="predict-") as aside:
        path = str(Path(aside) / "scored.arrow")
        facts = Facts.of(_spooled(scored, path), now=now if told.clock == "now" else None)
        if told.allocation == "period":
            decisions = decide_period(ruling, facts)
        else:
            decisions = decide_streaming(ruling, facts, first_row=0)
        with pa.OSFile(path) as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                _write(batch, decisions.part(told.rows, batch.num_rows), writer, told)


def _spooled(scored: Iterable[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    writer = None
    try:
        with pa.OSFile(path, "wb") as file:
            for batch in scored:
                writer = writer or pa.ipc.new_stream(file, batch.schema)
                writer.write_batch(batch)
                yield batch
            if writer is not None:
                writer.close()
    except OSError as error:
        raise CannotPredict(f"the scored rows cannot be kept in {path}: {error.strerror}; free some space") from error


def _write(batch: pa.RecordBatch, decisions: Decisions, writer: Writer, told: Predicted) -> None:
    """Write some rows, and count them."""
    import pyarrow as pa

    first, rows = told.rows, batch.num_rows
    names = pa.array([told.run if i == 0 else f"{told.run}:{i}" for i in range(first, first + rows)])
    lost = np.isin(decisions.reasons, [REASONS.index(reason) for reason in _UNDECIDED])
    predicted = batch.column(f"{OWN}predicted")
    binary = pa.types.is_null(predicted.type) or pa.types.is_boolean(predicted.type)
    decision = pa.array(decisions.acted, mask=lost) if binary else predicted
    why = pa.array(decisions.reasons, pa.uint8())
    beside = {
        "qualifies": pa.array(decisions.qualifies, mask=lost),
        "decision": decision,
        "reason": pa.DictionaryArray.from_arrays(why, pa.array(REASONS)).cast(pa.string()),
        "model_version": pa.array([told.bundle] * rows),
        "allocation": pa.array([told.allocation] * rows),
    }
    shown = [name for name in batch.schema.names if not name.startswith(OWN)]
    place = shown.index("expected_gain") + 1
    columns = {"prediction_id": names} | {name: batch.column(name) for name in shown[:place]} | beside
    writer.write(pa.RecordBatch.from_pydict(columns | {name: batch.column(name) for name in shown[place:]}))
    told.note(decisions)
