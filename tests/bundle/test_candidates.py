"""What ships is proven; the order of preference decides unless a way is more than twice as fast."""

from __future__ import annotations

import math

import pytest

from trueup.bundle.candidates import Candidate, Offer, choose_candidate
from trueup.bundle.golden import Replay
from trueup.bundle.proof import Cost, Proof
from trueup.bundle.served import Kind


def candidate(kind: Kind, us: float, *, differing: int = 0, moved: int | None = 0, apart: int = 0) -> Candidate:
    largest = 0.25 if differing else 0.0
    return Candidate(Offer(kind, {}), Proof(Replay(10, differing, largest, moved), apart, Cost(us, 50.0, 100.0)))


ORIGINAL = candidate("original", 1_000.0)


def test_the_preferred_way_ships_although_another_is_a_little_faster() -> None:
    chosen = choose_candidate([ORIGINAL, candidate("onnx", 10.0), candidate("compiled", 19.0)])

    assert chosen.offer.kind == "compiled"


def test_a_way_that_is_more_than_twice_as_fast_overtakes_the_preferred_one() -> None:
    chosen = choose_candidate([ORIGINAL, candidate("onnx", 9.0), candidate("compiled", 19.0)])

    assert chosen.offer.kind == "onnx"


@pytest.mark.parametrize("flaw", [{"differing": 1}, {"moved": 1}, {"apart": 1}])
def test_a_way_that_is_not_proven_never_ships_however_fast(flaw: dict[str, int]) -> None:
    wrong = candidate("compiled", 0.001, **flaw)

    assert choose_candidate([wrong, ORIGINAL]) is ORIGINAL
    assert wrong.why_not


def test_a_hybrid_ships_only_where_it_is_faster_than_the_original() -> None:
    slower, faster = candidate("hybrid", 1_001.0), candidate("hybrid", 900.0)

    assert choose_candidate([slower, ORIGINAL]) is ORIGINAL
    assert choose_candidate([faster, ORIGINAL]) is faster
    assert choose_candidate([faster, ORIGINAL, candidate("onnx", 1_500.0)]).offer.kind == "onnx"


def test_a_way_that_could_not_be_tried_never_ships() -> None:
    assert choose_candidate([Candidate(Offer("compiled", {}), None, "it raised"), ORIGINAL]) is ORIGINAL


def test_nothing_ships_where_nothing_is_proven() -> None:
    with pytest.raises(ValueError, match="no candidate is proven"):
        choose_candidate([candidate("original", 1.0, differing=1)])


def test_the_reason_names_rows_difference_and_decisions() -> None:
    proof = Proof(Replay(2_559, 1_200, math.inf, 7), 3, Cost(1.0, 1.0, 1.0))

    assert Candidate(Offer("onnx", {}), proof).why_not == (
        "1,200 of 2,559 golden rows differ, the largest difference is inf; 7 decisions differ; "
        "3 rows get other bits alone than among many"
    )
    assert Candidate(Offer("onnx", why_not="skl2onnx is not installed"), None).why_not == "skl2onnx is not installed"
