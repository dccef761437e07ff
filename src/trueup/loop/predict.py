"""What does a bundle decide for all rows of a file or table? The same scores, policy and law as a server's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
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
from trueup.loop.predict_attempt import Attempt, Fresh, Named, attempted
from trueup.loop.predict_deciding import (
    REASONS,
    UNDECIDED,
    Decisions,
    Facts,
    Ruling,
    decide_period,
    decide_streaming,
    decide_values,
)
from trueup.loop.predict_logging import LogTarget, logged_kinds
from trueup.loop.predict_reading import FORMATS, CannotPredict, Source
from trueup.loop.predict_scoring import OWN, Setup, Task, score_part
from trueup.loop.predict_writing import Writer, open_writer

if TYPE_CHECKING:
    import pyarrow as pa

Allocation = Literal["streaming", "period"]
Clock = Literal["now", "event"]
Progress = Callable[[int, int | None], None]
PACE = f"{REFERENCE_FOLDER}/pace.json"
MOST_ROWS = 2**32
_SHOWN = 10


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
    own_id: bool = False
    """Whether the caller named the run; else the same rows, bundle and allocation are the same run."""
    again: bool = False
    """Whether rows that such a run decided before are decided anew."""


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
    """Lines of CSV that are no rows; each is a row with the reason ``bad_row``."""
    first_unreadable: str | None = None
    logged: int = 0
    """Decisions of this run in the prediction log; none of a rehearsal."""
    decided_before: int = 0
    """Rows that an earlier attempt had decided; they are told again."""
    repeated: bool = False
    """Whether an earlier attempt had come to its end: nothing was decided or logged anew."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return asdict(self)

    def note(self, decisions: Decisions) -> None:
        """Count some more rows."""
        for code, count in zip(*np.unique(decisions.reasons, return_counts=True), strict=True):
            self.reasons[REASONS[code]] = self.reasons.get(REASONS[code], 0) + int(count)
        self.undecided += (np.flatnonzero(decisions.lost)[: _SHOWN - len(self.undecided)] + self.rows + 1).tolist()
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
    log: LogTarget | None = None,
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
    log : LogTarget, optional
        Where decisions are logged before they are written; a rehearsal (``clock = "event"``) never is. With it, a run
        that was begun before is gone on with, under its own id and moment.
    progress : callable, optional
        Called with rows done, and rows in all where that is known.

    Raises
    ------
    CannotPredict
        The bundle has no policy, a column is not there, a file cannot be read or has another format, or no row has one.
    BundleRefused
        What `bundle.loading.verify_bundle` raises.
    LakeError
        What is decided cannot be logged, or tokens cannot be counted; the same command goes on from there.

    Notes
    -----
    A row that cannot be read is kept with an empty score and decision. Memory does not grow with the rows, but for some
    50 bytes a row with ``allocation = "period"`` or ``clock = "event"``, which see all before the first is decided.
    """
    manifest = verify_bundle(setup.bundle, trusted_keys=setup.trusted_keys, today=setup.today)
    _check(source, out, manifest, order)
    policy = DecisionPolicy(manifest.policy, classes=manifest.classes)
    ruling = _ruling(setup.bundle, manifest, policy, order=order, tokens=tokens, run=run)
    run_it = _Run(source, setup, order, manifest, ruling=ruling, now=now, scratch=scratch, progress=progress)
    if log is None or order.clock == "event":
        return run_it.answer(out)
    named = Named(run, now, source.digest(), order.allocation, own_id=order.own_id, again=order.again)
    with attempted(log, named, manifest=manifest, ruling=ruling) as (attempt, ruling):
        logged = tuple(logged_kinds(manifest).items())
        run_it.ruling, run_it.now = ruling, attempt.journal.beginning.moment
        run_it.setup = replace(setup, run=ruling.run.hex(), logged=logged)
        run_it.attempt, run_it.ticks = attempt, log.ticks
        return run_it.answer(out)


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


@dataclass
class _Run:
    """Answers all rows once."""

    source: Source
    setup: Setup
    order: Order
    manifest: Manifest
    _: KW_ONLY
    ruling: Ruling
    now: int
    scratch: Path
    progress: Progress | None
    attempt: Attempt | None = None
    """Where decisions are logged, and were; None where they are not."""
    ticks: Callable[[], int] | None = None

    def answer(self, out: Path) -> Predicted:
        """Write the answers, and return what was done."""
        order, digest = self.order, self.manifest.digest
        told = Predicted(digest, id_as_text(self.ruling.run), order.allocation, order.clock, str(out))
        scored = self._watched(run_stream(score_part, self._tasks(), workers=order.workers))
        made = out.with_name(f".{out.name}.partial")
        facts = {"allocation": order.allocation, "clock": order.clock}
        try:
            with open_writer(made, out.suffix.lower(), facts=facts) as writer:
                self._decide(scored, writer, told)
            if not told.rows:
                raise CannotPredict("the source holds no rows; nothing was written")
            told.unreadable_lines, told.first_unreadable = self.source.unreadable, self.source.first_unreadable
            self._end(told)
            made.replace(out)
        finally:
            made.unlink(missing_ok=True)
        return told

    def _tasks(self) -> Iterator[Task]:
        for part in self.source.parts():
            if self.attempt is not None and self.ticks is not None:
                self.attempt.reads.append(self.ticks())
            yield Task(self.setup, part)

    def _watched(self, scored: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        done = 0
        for batch in scored:
            yield batch
            done += batch.num_rows
            if done > MOST_ROWS:
                raise CannotPredict(f"the source has more than {MOST_ROWS:,} rows; predict it in parts")
            if self.progress is not None:
                self.progress(done, self.source.total)

    def _decide(self, scored: Iterable[pa.RecordBatch], writer: Writer, told: Predicted) -> None:
        ruling, order = self.ruling, self.order
        if self.manifest.task != "binary":
            self._write(scored, lambda batch, first: decide_values(ruling, batch), writer, told)
        elif order.allocation == "streaming" and order.clock == "now":
            self._write(
                scored,
                lambda batch, first: decide_streaming(ruling, Facts.of([batch], now=self.now), first_row=first),
                writer,
                told,
            )
        else:
            self._write_after_all(scored, writer, told)

    def _write_after_all(self, scored: Iterable[pa.RecordBatch], writer: Writer, told: Predicted) -> None:
        """Keep what was scored aside until all of it was seen, then decide and write."""
        import pyarrow as pa

        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="predict-") as aside:
            path = str(Path(aside) / "scored.arrow")
            facts = Facts.of(_spooled(scored, path), now=self.now if self.order.clock == "now" else None)
            made: list[Decisions] = []

            def fresh(batch: pa.RecordBatch, first: int) -> Decisions:
                if not made:  # nothing is where an earlier attempt decided all
                    made.append(self._decide_all(facts))
                return made[0].part(first, batch.num_rows)

            with pa.OSFile(path) as file, pa.ipc.open_stream(file) as reader:
                self._write(reader, fresh, writer, told)

    def _decide_all(self, facts: Facts) -> Decisions:
        if self.order.allocation == "period":
            return decide_period(self.ruling, facts)
        return decide_streaming(self.ruling, facts, first_row=0)

    def _write(self, scored: Iterable[pa.RecordBatch], fresh: Fresh, writer: Writer, told: Predicted) -> None:
        for batch in scored:
            if self.attempt is None:
                _write_answers(batch, fresh(batch, told.rows), writer, told)
            else:
                for piece, decisions in self.attempt.pieces(batch, first_row=told.rows, fresh=fresh):
                    _write_answers(piece, decisions, writer, told)

    def _end(self, told: Predicted) -> None:
        if self.attempt is not None:
            told.logged = told.rows - sum(told.reasons.get(reason, 0) for reason in UNDECIDED)
            told.decided_before, told.repeated = self.attempt.journal.decided, self.attempt.journal.ended
            counted = ("rows", "logged", "qualify", "acted", "reasons", "unreadable_lines")
            self.attempt.end({name: getattr(told, name) for name in counted})


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


def _write_answers(batch: pa.RecordBatch, decisions: Decisions, writer: Writer, told: Predicted) -> None:
    """Write some rows, and count them."""
    import pyarrow as pa

    first, rows = told.rows, batch.num_rows
    names = pa.array([told.run if i == 0 else f"{told.run}:{i}" for i in range(first, first + rows)])
    lost = decisions.lost
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
