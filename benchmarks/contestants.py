"""Who serves the model? Ours with each way of logging, our HTTP server alone, and what people use today."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.asking import Question
from benchmarks.peers.environments import environment_of
from benchmarks.serving_model import (
    PROJECT,
    TOKEN,
    ServedModel,
    bodies_by_name,
    bodies_of_arrays,
    matrix_form,
    probabilities_form,
    tensor_form,
)

TRUEUP = Path(sys.executable).with_name("trueup")
ROWS = (1, 100)
_AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Contestant:
    """A server that can be started and asked."""

    name: str
    command: Callable[[ServedModel, Path, int], list[str]]
    """Given the model, an empty folder of its own, and a port."""
    question: Callable[[int], Question]
    """Given how many rows a request has."""
    is_peer: bool = True


def contestants() -> dict[str, Contestant]:
    """Return everybody by name; peers need their environments, which are made when they are started."""
    ours = [
        Contestant("process", partial(_ours, "process"), _by_name, is_peer=False),
        Contestant("disk", partial(_ours, "disk"), _by_name, is_peer=False),
        Contestant("unlogged", _unlogged, _by_name, is_peer=False),
        Contestant("static", _static, _by_name, is_peer=False),
    ]
    peers = [
        Contestant("fastapi", _peer("fastapi_pandas"), lambda rows: Question("/predict", bodies_by_name(rows))),
        Contestant("mlserver", _peer("mlserver", "sklearn"), partial(_tensors, probabilities_form)),
        Contestant("mlserver_lightgbm", _peer("mlserver", "lightgbm"), partial(_tensors, tensor_form)),
        Contestant("bentoml", _peer("bentoml"), lambda rows: Question("/predict", bodies_of_arrays(rows, matrix_form))),
    ]
    return {contestant.name: contestant for contestant in (*ours, *peers)}


def spool_of(folder: Path) -> Path:
    """Return where our server keeps its log in a folder of its own."""
    return folder / "spool"


def _ours(durability: str, model: ServedModel, folder: Path, port: int) -> list[str]:
    target = [str(TRUEUP), "serve", str(model.lake(durability)), "--trust", str(model.trusted)]
    return [*target, "--spool", str(spool_of(folder)), "--port", str(port), "--no-sealing"]


def _unlogged(model: ServedModel, folder: Path, port: int) -> list[str]:
    where = [str(model.lake("process")), str(model.trusted), str(spool_of(folder)), str(port)]
    return [sys.executable, "-m", "benchmarks.unlogged", *where]


def _static(_: ServedModel, __: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.fronting", str(port)]


def _peer(name: str, *options: str) -> Callable[[ServedModel, Path, int], list[str]]:
    def command(model: ServedModel, _: Path, port: int) -> list[str]:
        return [str(environment_of(name)), "-m", f"benchmarks.peers.{name}", str(model.folder), *options, str(port)]

    return command


def _by_name(rows: int) -> Question:
    return Question(f"/predict/{PROJECT}", bodies_by_name(rows), _AUTHORIZED, may_be_refused=True)


def _tensors(form: Callable[[list[list[float | None]]], str], rows: int) -> Question:
    return Question("/v2/models/benchmark/infer", bodies_of_arrays(rows, form))
