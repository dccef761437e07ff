"""A predictor opens from its plan, and what cannot be opened is refused."""

from __future__ import annotations

import json

import pytest

from trueup.bundle.errors import BadManifest
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.opening import OPENERS, open_compiled
from trueup.bundle.predictors.predictor import Opener, TakeColumns, parse_plan

FEATURES = (FeatureSpec("amount", "number"), FeatureSpec("age", "number"))


def plan(*stages: object) -> dict[str, object]:
    return parse_plan(json.dumps({"format": 1, "stages": list(stages), "outputs": 1}).encode())


def test_a_plan_of_one_stage_answers_a_request() -> None:
    predictor = open_compiled(plan({"kind": "take", "places": [1]}), {}, features=FEATURES)

    assert predictor.score_request(b'{"amount": 2, "age": 40}') == (40.0,)


@pytest.mark.parametrize("stage", [{"kind": "pickle"}, {"kind": None}, {}, "take", None])
def test_a_stage_of_no_known_kind_is_refused(stage: object) -> None:
    with pytest.raises(BadManifest, match="stage 0 is of no known kind"):
        open_compiled(plan(stage), {}, features=FEATURES)


@pytest.mark.parametrize("kind", sorted(OPENERS))
def test_a_stage_without_its_document_or_files_is_refused(kind: str) -> None:
    with pytest.raises(BadManifest, match=rf"stage 0 \({kind}\) cannot be opened"):
        open_compiled(plan({"kind": kind}), {}, features=FEATURES)


def test_only_a_process_with_the_model_opens_further_kinds() -> None:
    more: dict[str, Opener] = {"python": lambda stage, files: TakeColumns([0])}

    assert open_compiled(plan({"kind": "python"}), {}, features=FEATURES, more=more).score_request(
        b'{"amount": 2, "age": 40}'
    ) == (2.0,)
