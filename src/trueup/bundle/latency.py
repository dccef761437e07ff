"""How fast was each way of answering, where, and which one ships? Evidence beside a bundle's content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trueup.bundle.candidates import Candidate
from trueup.bundle.layout import EVIDENCE_FOLDER
from trueup.bundle.parity import named_versions, read_evidence, this_machine
from trueup.kernel.digests import canonical_json, digest_of, finite_or_none


@dataclass(frozen=True)
class Timing:
    """One way of answering, in the table that packaging shows."""

    kind: str
    """compiled, onnx, hybrid or original."""
    shipped: bool
    proven: bool
    largest_difference: float | None = None
    """From the original on the golden rows; None where it could not be tried, or it is infinite."""
    us_per_row: float | None = None
    """Median of one row at a time, from a request's bytes to its score, over rotating rows; microseconds."""
    times_original: float | None = None
    """How many times as fast as the original."""
    memory_mb: float | None = None
    """Most memory of its process, in MB."""
    start_ms: float | None = None
    """Processor time until it could answer, in milliseconds."""
    why_not: str = ""
    """Why it may not ship."""
    slow_parts: tuple[str, ...] = ()
    """Parts that stay in Python, each with its reason."""


@dataclass(frozen=True)
class LatencyTable:
    """All ways of answering of one bundle, as measured on one machine."""

    bundle: str
    """Digest of the bundle."""
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    rows: int
    """Golden rows on which each was tried."""
    candidates: tuple[Timing, ...]

    @property
    def path(self) -> str:
        """Return the table's path in the bundle: one for each machine and set of versions."""
        return f"{EVIDENCE_FOLDER}/latency-{digest_of([self.machine, self.versions])[:12]}.json"

    @property
    def content(self) -> bytes:
        """Return the table as JSON."""
        return canonical_json(asdict(self)).encode()

    @property
    def shipped(self) -> Timing:
        """Return the way that ships."""
        return next(timing for timing in self.candidates if timing.shipped)


def tabulate(candidates: Sequence[Candidate], shipped: Candidate, *, bundle: str, lock: str, rows: int) -> LatencyTable:
    """Return the table of what was found while packaging on this machine."""
    original = next(c.proof.cost.us_per_row for c in candidates if c.offer.kind == "original" and c.proof)
    timings = tuple(_timing(c, original=original, shipped=c is shipped) for c in candidates)
    return LatencyTable(bundle, this_machine(), named_versions(lock), rows, timings)


def read_latencies(bundle: Path) -> LatencyTable | None:
    """Return the newest table that lies beside a bundle's content; None where there is none that can be read."""
    files = sorted((bundle / EVIDENCE_FOLDER).glob("latency-*.json"), key=lambda file: (file.stat().st_mtime_ns, file))
    found = (_parsed(file.read_bytes()) for file in reversed(files))
    return next((table for table in found if table and table.bundle == bundle.name), None)


def describe_latencies(table: LatencyTable) -> list[str]:
    """Return the table in words: one line for each way, then what kept the shipped one slow."""
    head = f"  {'answers by':<12}{'us a row':>12}{'times original':>16}{'start ms':>10}{'MB':>7}  equal on golden rows"
    return [head, *(_line(timing, rows=table.rows) for timing in table.candidates), *_kept_slow(table)]


def describe_shipped(table: LatencyTable) -> str:
    """Return in one sentence what answers, how fast, and what kept it slow."""
    shipped = table.shipped
    times = "" if shipped.kind == "original" else f", {shipped.times_original or 0:,.0f} times as fast as the original"
    slow = "; ".join(part.strip() for part in _kept_slow(table))
    return (
        f"{shipped.kind}: {shipped.us_per_row or 0:,.0f} microseconds a row, from a request's bytes to its score"
        f"{times}{f'; {slow}' if slow else ''}"
    )


def _timing(candidate: Candidate, *, original: float, shipped: bool) -> Timing:
    proof = candidate.proof
    if proof is None:
        return Timing(
            candidate.offer.kind, False, False, why_not=candidate.why_not, slow_parts=candidate.offer.slow_parts
        )
    cost = proof.cost
    return Timing(
        candidate.offer.kind,
        shipped,
        proof.proven,
        largest_difference=finite_or_none(proof.replay.largest_difference),
        us_per_row=cost.us_per_row,
        times_original=original / cost.us_per_row,
        memory_mb=cost.memory_mb,
        start_ms=cost.start_ms,
        why_not=candidate.why_not,
        slow_parts=candidate.offer.slow_parts,
    )


def _line(timing: Timing, *, rows: int) -> str:
    mark = ">" if timing.shipped else " "
    if timing.us_per_row is None:
        return f"{mark} {timing.kind:<12}{'-':>12}{'':>16}{'':>10}{'':>7}  no: {timing.why_not}"
    equal = f"all {rows:,}, largest difference {timing.largest_difference or 0:.2g}"
    return (
        f"{mark} {timing.kind:<12}{timing.us_per_row:>12,.1f}{timing.times_original or 0:>16,.1f}"
        f"{timing.start_ms or 0:>10,.0f}{timing.memory_mb or 0:>7,.0f}  {equal if timing.proven else timing.why_not}"
    )


def _kept_slow(table: LatencyTable) -> Iterator[str]:
    """Say which parts of the model stay in Python; nothing where none do."""
    if table.shipped.kind in {"compiled", "onnx"}:
        return
    told = [table.shipped] if table.shipped.slow_parts else table.candidates
    parts: Iterable[str] = dict.fromkeys(part for timing in told for part in timing.slow_parts)
    for part in parts:
        yield f"  kept slow by {part}"


def _parsed(content: bytes) -> LatencyTable | None:
    table = read_evidence(content, LatencyTable)
    return table if table and sum(timing.shipped for timing in table.candidates) == 1 else None
