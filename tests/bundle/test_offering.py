"""Offers and trials survive their way between processes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.bundle.candidates import Offer
from trueup.bundle.errors import ModelFailed
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow, golden_lines
from trueup.bundle.offering import candidate_of, offers_from, offers_message, trial_message, trial_parts

names = st.text("abc.", max_size=5).map(lambda text: f"{text}x")


@given(st.lists(st.tuples(st.dictionaries(names, st.binary(max_size=20)), st.lists(st.text(max_size=5))), max_size=4))
def test_offers_survive(parts: list[tuple[dict[str, bytes], list[str]]]) -> None:
    offers = tuple(Offer("compiled", {"stages": []}, files, tuple(slow)) for files, slow in parts)

    head, body = offers_message(offers)

    assert offers_from(json.loads(json.dumps(head)), body) == offers


@given(st.dictionaries(names, st.binary(max_size=20)))
def test_a_trial_holds_the_golden_rows_and_the_files(files: dict[str, bytes]) -> None:
    rows = [GoldenRow('{"a":1}', (0.5,))]

    head, body = trial_message(Offer("onnx", {}, files), rows, features=[FeatureSpec("a", "number")], cutoff=0.5)

    assert trial_parts(json.loads(json.dumps(head)), body) == (golden_lines(rows), files)


def test_a_failed_trial_is_a_candidate_that_is_not_proven() -> None:
    found = candidate_of(Offer("onnx", {}), {"failed": "it raised ValueError"})

    assert (found.proven, found.why_not) == (False, "it raised ValueError")


@pytest.mark.parametrize("answer", [{}, {"failed": 5}, {"proof": 5}, {"proof": {"apart": 0}}])
def test_a_trial_that_says_nothing_of_ours_proves_nothing(answer: dict[str, Any]) -> None:
    found = candidate_of(Offer("onnx", {}), answer)

    assert not found.proven
    assert "something else than was asked for" in found.why_not


@pytest.mark.parametrize("name", ["", "..", "../model/model.pkl", "/tmp/x", "plan.json"])
def test_files_that_could_not_lie_in_a_predictor_are_refused(name: str) -> None:
    head, body = offers_message([Offer("compiled", {"stages": []}, {name: b"x"})])

    with pytest.raises(ModelFailed, match="files with names that no predictor has"):
        offers_from(head, body)


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"offers": 5},
        {"offers": [{"kind": "compiled"}]},
        {"offers": [{"kind": "fast", "plan": {}, "parts": [], "slow_parts": [], "why_not": ""}]},
        {"offers": [{"kind": "onnx", "plan": {}, "parts": [["a", -1]], "slow_parts": [], "why_not": ""}]},
        {"offers": [{"kind": "onnx", "plan": {}, "parts": [["a", 9]], "slow_parts": [], "why_not": ""}]},
        {"offers": [{"kind": "onnx", "plan": {}, "parts": [["a", 0], ["a", 1]], "slow_parts": [], "why_not": ""}]},
    ],
)
def test_what_tells_of_no_offers_is_a_model_that_failed(head: dict[str, Any]) -> None:
    with pytest.raises(ModelFailed, match="something else than was asked for"):
        offers_from(head, b"1")
