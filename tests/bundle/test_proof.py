"""A predictor is proven only where it answers every golden row as the original, alone and among many."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from trueup.bundle.errors import GoldenRowsDiffer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow, Replay
from trueup.bundle.predictors.predictor import Numbers, Predictor
from trueup.bundle.proof import Cost, Proof, answers_of, median_us, prove, refuse_apart

FEATURES = (FeatureSpec("amount", "number"),)
JUST_BELOW_ONE = 1 - 2**-53


class Halved:
    """The true model: half the amount; a missing amount is refused (NaN)."""

    def one(self, row: Numbers) -> Numbers:
        return row / 2

    def many(self, matrix: Numbers) -> Numbers:
        return matrix / 2


class AddsToItsResult(Halved):
    """As a library does that adds to the buffer it was given last time."""

    def __init__(self) -> None:
        self._buffer = np.zeros(1)

    def one(self, row: Numbers) -> Numbers:
        self._buffer += row / 2
        return self._buffer.copy()


class ReadsTheLowWordAsMissing(Halved):
    """As a compiler does whose mark for missing is a pattern of a double's low 32 bits: 0.9999999999999999 has it."""

    def one(self, row: Numbers) -> Numbers:
        marked = (row.view(np.int64) & 0xFFFFFFFF) == 0xFFFFFFFF
        return np.where(marked, 0.125, row / 2)

    def many(self, matrix: Numbers) -> Numbers:
        return np.array([self.one(np.ascontiguousarray(row)) for row in matrix]).reshape(matrix.shape)


class RoundsToFloat32(Halved):
    def one(self, row: Numbers) -> Numbers:
        return (row.astype(np.float32) / 2).astype(np.float64)

    def many(self, matrix: Numbers) -> Numbers:
        return (matrix.astype(np.float32) / 2).astype(np.float64)


class OtherSumOfMany(Halved):
    def many(self, matrix: Numbers) -> Numbers:
        return np.nextafter(matrix / 2, 2.0)


def golden(*amounts: float | None) -> list[GoldenRow]:
    return [GoldenRow(json.dumps({"amount": x}), None if x is None else (x / 2,)) for x in amounts]


def proof_of(stage: Halved, rows: list[GoldenRow], *, cutoff: float | None = 0.25) -> Proof:
    return prove(Predictor(FEATURES, [stage], outputs=1), rows, cutoff=cutoff)


ROWS = golden(0.1, 0.5, JUST_BELOW_ONE, None, 0.3)


def test_the_true_model_is_proven_and_its_refusals_count_as_equal() -> None:
    proof = proof_of(Halved(), ROWS)

    assert proof.proven
    assert (proof.replay.rows, proof.replay.differing, proof.replay.decisions_differ, proof.apart) == (5, 0, 0, 0)
    assert proof.cost.us_per_row > 0
    assert proof.cost.memory_mb > 1


@pytest.mark.parametrize("stage", [AddsToItsResult(), ReadsTheLowWordAsMissing(), RoundsToFloat32()])
def test_a_known_trap_is_not_proven(stage: Halved) -> None:
    proof = proof_of(stage, ROWS)

    assert not proof.proven
    assert proof.replay.differing > 0


def test_the_low_word_trap_is_found_by_its_row_alone() -> None:
    assert proof_of(ReadsTheLowWordAsMissing(), golden(0.1, 0.5, 0.3)).proven
    assert not proof_of(ReadsTheLowWordAsMissing(), golden(0.1, 0.5, JUST_BELOW_ONE)).proven


def test_other_bits_among_many_are_not_proven_though_within_the_tolerance() -> None:
    proof = proof_of(OtherSumOfMany(), golden(0.1, 0.5))

    assert (proof.replay.differing, proof.apart, proof.proven) == (0, 2, False)


def test_an_answer_where_the_original_refused_is_not_proven() -> None:
    assert proof_of(Halved(), [GoldenRow('{"amount":0.5}', None)]).replay.largest_difference == math.inf


def test_a_difference_within_the_tolerance_that_moves_a_decision_is_not_proven() -> None:
    row = GoldenRow('{"amount":0.5}', (0.25 - 1e-16,))

    proof = proof_of(Halved(), [row], cutoff=0.25)

    assert (proof.replay.differing, proof.replay.decisions_differ, proof.proven) == (0, 1, False)


@pytest.mark.parametrize("largest", [0.0, 1e-13, math.inf])
def test_a_proof_survives_json(largest: float) -> None:
    proof = Proof(Replay(3, 1, largest, None), 2, Cost(1.5, 60.0, 90.0))

    assert Proof.from_json(json.loads(json.dumps(proof.as_json(), allow_nan=False))) == proof


def test_rows_rotate_while_time_is_taken() -> None:
    seen: list[bytes] = []

    median_us(seen.append, [b"a", b"b", b"c"])

    assert {b"a", b"b", b"c"} == set(seen)
    assert abs(seen.count(b"a") - seen.count(b"c")) <= 2
    assert math.isnan(median_us(len, []))


def test_a_row_with_nan_is_refused() -> None:
    assert answers_of(np.array([[0.5, 0.5], [math.nan, 1.0]])) == [(0.5, 0.5), None]


def test_a_bundle_whose_rows_differ_among_many_is_refused() -> None:
    refuse_apart(0, rows=5, digest="d" * 64)
    with pytest.raises(GoldenRowsDiffer, match="2 of 5 golden rows get other bits"):
        refuse_apart(2, rows=5, digest="d" * 64)
