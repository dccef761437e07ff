"""A fast predictor is tried in a process that never held the model; a wrong one is not proven and says why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from trueup.bundle.candidates import Offer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow
from trueup.bundle.proving import prove_apart

FEATURES = (FeatureSpec("amount", "number"),)
ROWS = [GoldenRow(f'{{"amount":{x}}}', (x,)) for x in (0.1, 0.9999999999999999, -3.0)]


def model(nodes: list[Any]) -> dict[str, bytes]:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "by hand", [value("x", TensorProto.DOUBLE, [None, 1])], [value("y", TensorProto.DOUBLE, [None, 1])]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return {"model.onnx": bytes(made.SerializeToString())}


def offer(files: dict[str, bytes], kind: str = "onnx") -> Offer:
    stage = {"kind": kind, "file": "model.onnx", "inputs": [], "output": "y"}
    return Offer("onnx", {"format": 1, "stages": [stage], "outputs": 1}, files)


def tried(made: Offer) -> Any:
    return prove_apart(made, ROWS, features=FEATURES, cutoff=0.5)


def test_an_equal_predictor_is_proven_with_what_it_costs() -> None:
    found = tried(offer(model([helper.make_node("Identity", ["x"], ["y"])])))

    assert found.proven, found.why_not
    assert found.proof.replay.decisions_differ == 0
    assert 0 < found.proof.cost.us_per_row < 1e6
    assert found.proof.cost.start_ms > 0


def test_a_predictor_that_rounds_to_float32_is_not_proven() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["single"], ["y"], to=TensorProto.DOUBLE),
    ]

    found = tried(offer(model(nodes)))

    assert not found.proven
    # -3.0 is the same in float32, and 1 - 2**-53 becomes 1, which is nearer than the tolerance; 0.1 is 1.49e-9 off
    assert "1 of 3 golden rows differ, the largest difference is 1.49e-09" in found.why_not


def test_a_predictor_that_cannot_be_opened_says_why() -> None:
    assert "cannot be opened" in tried(offer({"model.onnx": b"no model"})).why_not
    assert "of no known kind" in tried(offer({}, kind="pickle")).why_not
    assert tried(Offer("onnx", why_not="skl2onnx is not installed")).why_not == "skl2onnx is not installed"


@pytest.mark.parametrize(
    ("script", "said"), [("#!/bin/sh\nexit 3\n", "code 3"), ("#!/bin/sh\nkill -SEGV $$\n", "signal 11")]
)
def test_a_predictor_that_ends_its_process_is_not_proven(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    program = tmp_path / "program"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))

    assert tried(offer({})).why_not == f"its process ended with {said}"
