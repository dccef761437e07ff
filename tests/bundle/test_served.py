"""A manifest's entry about its predictor is read strictly."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from trueup.bundle.errors import BadManifest
from trueup.bundle.served import Served, parse_served

DOCUMENT = {"kind": "compiled", "tolerance": 1e-12, "cutoff": 0.4, "slow_parts": []}


def test_an_entry_survives_its_document() -> None:
    assert parse_served(DOCUMENT) == Served("compiled", 1e-12, 0.4)
    assert {**asdict(Served("compiled", 1e-12, 0.4)), "slow_parts": []} == DOCUMENT


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "pickle"},
        {"tolerance": 0.1},
        {"tolerance": -1.0},
        {"tolerance": None},
        {"cutoff": "0.4"},
        {"slow_parts": "x"},
        {"slow_parts": [1]},
        {"more": 1},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadManifest):
        parse_served({**DOCUMENT, **change})


def test_all_but_the_original_need_a_plan() -> None:
    found = {kind: parse_served({**DOCUMENT, "kind": kind}) for kind in ("compiled", "onnx", "hybrid", "original")}

    assert [kind for kind, served in found.items() if served.plan_needed] == ["compiled", "onnx", "hybrid"]
