"""How does a run that was interrupted go on? Its next attempt tells what was decided, and decides and logs the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trueup.bundle.manifest import Manifest
from trueup.kernel.digests import digest_of
from trueup.kernel.ids import id_as_text
from trueup.loop.predict_deciding import Decisions, Ruling
from trueup.loop.predict_journal import Beginning, RunJournal, open_journal
from trueup.loop.predict_logging import LogTarget, RunLog

if TYPE_CHECKING:
    import pyarrow as pa

Fresh = Callable[["pa.RecordBatch", int], Decisions]
"""Decides some rows, of which the first has this number."""


@dataclass(frozen=True)
class Named:
    """What makes a run this one, and how it is kept."""

    run: bytes
    """Its id, where it begins now."""
    moment: int
    """At which it decides, where it begins now."""
    rows_digest: str
    allocation: str
    own_id: bool = False
    """Whether the caller gave the id."""
    again: bool = False
    """Whether to decide anew what was decided before."""


@dataclass
class Attempt:
    """One attempt at a run.

    Attributes
    ----------
    reads : deque of int
        When the batches were read that were not decided yet, in their order, by the target's ticks.
    """

    journal: RunJournal
    log: RunLog | None
    """None where everything is logged."""
    sync_tokens: Callable[[], None]
    """Returns when the tokens that decisions took are on the disk: what is noted or told of them comes after."""
    reads: deque[int] = field(default_factory=deque)

    @property
    def run(self) -> bytes:
        """Return the id of the run."""
        return bytes.fromhex(self.journal.beginning.run)

    def pieces(
        self, batch: pa.RecordBatch, *, first_row: int, fresh: Fresh
    ) -> Iterator[tuple[pa.RecordBatch, Decisions]]:
        """Yield a batch with its decisions once they are logged; in two pieces where an attempt ended within it."""
        since = self.reads.popleft()
        while batch.num_rows and (known := self.journal.replay(batch.num_rows)) is not None:
            piece, batch = batch.slice(0, len(known)), batch.slice(len(known))
            unknown = max(0, self.journal.logged - first_row)
            if self.log is not None and unknown < len(known):
                rest = len(known) - unknown
                self.log.write(
                    piece.slice(unknown), known.part(unknown, rest), first_row=first_row + unknown, since=since
                )
            yield piece, known
            first_row += len(known)
        if batch.num_rows and self.log is not None:
            decisions = fresh(batch, first_row)
            self.sync_tokens()
            self.journal.note(decisions)
            self.log.write(batch, decisions, first_row=first_row, since=since)
            yield batch, decisions

    def end(self, facts: dict[str, Any]) -> None:
        """Log that all rows were decided, and what was done; JSON values."""
        if self.log is not None:
            self.log.end(facts)
            self.log.close()
            self.journal.end()


@contextmanager
def attempted(
    target: LogTarget, named: Named, *, manifest: Manifest, ruling: Ruling
) -> Iterator[tuple[Attempt, Ruling]]:
    """Begin a run, or go on with it where it began before; also give by what it decides then.

    Raises
    ------
    RunElsewhere, RunDiffers
    StoreFull, StoreReadOnly, StoreUnavailable, CapacityUnavailable
    """
    key = digest_of([manifest.digest, named.rows_digest, named.allocation])

    def begin() -> Beginning:
        if ruling.terms.cases is None or manifest.task != "binary":
            return Beginning(named.run.hex(), named.moment)
        found = ruling.decider.find(named.moment)
        used, _ = ruling.tokens.used(found.period_start)
        return Beginning(named.run.hex(), named.moment, found, used)

    def counts(beginning: Beginning) -> bool:
        if beginning.found is None or beginning.used is None:
            return False
        return ruling.tokens.used(beginning.found.period_start)[0] > beginning.used

    journal = open_journal(
        target.runs(manifest.project),
        id_as_text(named.run) if named.own_id else key[:32],
        key=key,
        begin=begin,
        counts=counts,
        anew=named.again,
        durable=target.durable,
        now=target.clock(),
    )
    log = None
    try:
        beginning = journal.beginning
        run = bytes.fromhex(beginning.run)
        if beginning.found is not None:
            ruling.decider.go_on(beginning.found)
        if not journal.ended:
            facts = {"run": id_as_text(run), "rows_digest": named.rows_digest, "clock": "now"}
            log = RunLog(target, manifest, run=run, moment=beginning.moment, allocation=named.allocation, facts=facts)
        yield Attempt(journal, log, target.sync_tokens), replace(ruling, run=run, used_before=beginning.used)
    finally:
        if log is not None:
            log.close()
        journal.close()
