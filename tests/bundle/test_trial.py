"""A trial answers with a proof, or with the reason that a predictor gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.bundle.candidates import Offer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow
from trueup.bundle.offering import trial_message
from trueup.bundle.predictors.predictor import Numbers, TakeColumns
from trueup.bundle.trial import try_offer

FEATURES = [FeatureSpec("a", "number")]


class Raises(TakeColumns):
    def one(self, row: Numbers) -> Numbers:
        raise ZeroDivisionError("no such row")


def answer(kind: str) -> dict[str, Any]:
    offer = Offer("hybrid", {"format": 1, "stages": [{"kind": kind, "places": [0]}], "outputs": 1})
    message = trial_message(offer, [GoldenRow('{"a":0.5}', (0.5,))], features=FEATURES, cutoff=None)

    def raising(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> Raises:
        return Raises([0])

    return try_offer(*message, more={"raises": raising})


def test_an_equal_predictor_has_a_proof() -> None:
    assert answer("take")["proof"]["replay"]["differing"] == 0


def test_what_a_predictor_raises_is_told() -> None:
    assert answer("raises") == {"failed": "it raised ZeroDivisionError: no such row"}
    assert "of no known kind" in answer("unheard")["failed"]
