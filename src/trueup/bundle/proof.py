"""Does a fast predictor answer as the original did, and how fast? Run in whichever process holds it."""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.answers import read_answer
from trueup.bundle.errors import GoldenRowsDiffer
from trueup.bundle.golden import GoldenRow, Output, Replay, compare_outputs, outputs_of
from trueup.bundle.predictors.predictor import Numbers, Predictor
from trueup.kernel.digests import finite_or_none

TOLERANCE = 1e-12
"""Difference that a compiled predictor may have: absolute, relative where the recorded number is above 1."""
MEASURED_SECONDS = 0.25
_MOST_MEASURED = 2_000
_WARM_UP = 5


@dataclass(frozen=True)
class Cost:
    """What one way of answering takes, here."""

    us_per_row: float
    """Median over rotating rows, one at a time, from a request's bytes to its score; microseconds."""
    memory_mb: float
    """Most memory its process ever used, in MB."""
    start_ms: float
    """Processor time of its process from the start until it could answer, in milliseconds."""


@dataclass(frozen=True)
class Proof:
    """What was found about one predictor on the golden rows, here."""

    replay: Replay
    apart: int
    """Rows that got other bits alone than among many."""
    cost: Cost

    @property
    def proven(self) -> bool:
        """Return whether it answered every golden row as the original, alone and among many."""
        return not (self.replay.differing or self.replay.decisions_differ or self.apart)

    def as_json(self) -> dict[str, Any]:
        """Return the proof as JSON values; `from_json` reads them back."""
        return {**asdict(self), "replay": replay_document(self.replay)}

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Return the proof that `as_json` wrote.

        Raises
        ------
        ModelFailed
            It is none.
        """
        told = read_answer(document, _ToldProof)
        return cls(replay_from(told.replay), told.apart, told.cost)


def replay_document(replay: Replay) -> dict[str, Any]:
    """Return a replay as JSON values; `replay_from` reads them back."""
    return {**asdict(replay), "largest_difference": finite_or_none(replay.largest_difference)}


def replay_from(document: object) -> Replay:
    """Return the replay that `replay_document` wrote.

    Raises
    ------
    ModelFailed
        It is none.
    """
    told = read_answer(document, _ToldReplay)
    largest = math.inf if told.largest_difference is None else told.largest_difference
    return Replay(told.rows, told.differing, largest, told.decisions_differ)


@dataclass(frozen=True)
class _ToldReplay:
    rows: int
    differing: int
    largest_difference: float | None
    decisions_differ: int | None


@dataclass(frozen=True)
class _ToldProof:
    replay: dict[str, Any]
    apart: int
    cost: Cost


def prove(
    predictor: Predictor, rows: Sequence[GoldenRow], *, cutoff: float | None, tolerance: float = TOLERANCE
) -> Proof:
    """Return how a predictor's answers differ from the recorded ones, and how long one row takes.

    Parameters
    ----------
    predictor : Predictor
    rows : sequence of GoldenRow
        Requests with what the original answered.
    cutoff : float or None
        Score from which a case is acted on.
    tolerance : float
        See `TOLERANCE`.
    """
    ready = time.process_time()
    replay, apart = replay_predictor(predictor, rows, cutoff=cutoff, tolerance=tolerance)
    requests = [row.request.encode() for row in rows]
    microseconds = median_us(predictor.score_request, requests)
    return Proof(replay, apart, Cost(microseconds, peak_memory_mb(), ready * 1e3))


def replay_predictor(
    predictor: Predictor, rows: Sequence[GoldenRow], *, cutoff: float | None, tolerance: float
) -> tuple[Replay, int]:
    """Return what a replay found, and how many rows got other bits alone than among many."""
    requests = [row.request.encode() for row in rows]
    together = predictor.score_rows(predictor.decoder.decode_many(b"[" + b",".join(requests) + b"]"))
    alone = np.array([predictor.score_request(request) for request in requests]).reshape(together.shape)
    recorded = [GoldenRow(row.request, _answered(row.output)) for row in rows]
    replay = compare_outputs(recorded, answers_of(alone), cutoff=cutoff, tolerance=tolerance)
    return replay, int(_bits_differ(alone, together).any(axis=1).sum())


def refuse_apart(apart: int, *, rows: int, digest: str) -> None:
    """Raise when rows get other bits alone than among many.

    Raises
    ------
    GoldenRowsDiffer
        Says for how many rows.
    """
    if apart:
        raise GoldenRowsDiffer(
            f"bundle {digest[:12]} is refused: {apart} of {rows} golden rows get other bits alone than among many "
            "here; train and package it again on this machine",
            digest=digest,
            rows=rows,
            apart=apart,
        )


def answers_of(scores: Numbers) -> list[Output]:
    """Return one output for each row of a predictor's answers, shape (n, k); None where one is NaN: it refuses."""
    return outputs_of(scores, np.flatnonzero(np.isnan(scores).any(axis=1)).tolist())


def median_us(score: Callable[[bytes], object], requests: Sequence[bytes]) -> float:
    """Return the median time of one answer in microseconds, over rotating rows: one row again and again flatters."""
    if not requests:
        return math.nan
    for request in requests[:_WARM_UP]:
        score(request)
    taken: list[int] = []
    until = time.perf_counter() + MEASURED_SECONDS
    while len(taken) < _MOST_MEASURED and (not taken or time.perf_counter() < until):
        request = requests[len(taken) % len(requests)]
        started = time.perf_counter_ns()
        score(request)
        taken.append(time.perf_counter_ns() - started)
    return statistics.median(taken) / 1e3


def peak_memory_mb() -> float:
    """Return the most memory this process ever used, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _answered(output: Output) -> Output:
    """Return an output, or None where it holds a NaN: that is no answer either."""
    return None if output is None or any(map(math.isnan, output)) else output


def _bits_differ(first: Numbers, second: Numbers) -> NDArray[np.bool_]:
    """Return where two arrays differ in any bit; NaNs are all alike."""
    same = np.ascontiguousarray(first).view(np.int64) == np.ascontiguousarray(second).view(np.int64)
    return np.asarray(~(same | (np.isnan(first) & np.isnan(second))))
