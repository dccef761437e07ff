"""Offers and trials survive their way between processes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from trueup.bundle.candidates import Offer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow, golden_lines
from trueup.bundle.offering import candidate_of, offers_from, offers_message, trial_message, trial_parts

names = st.text("abc.", min_size=1, max_size=5)


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
