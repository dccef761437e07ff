"""Does a server that answers from other processes survive their deaths, and change to such a model and back?"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec
from tests.serve.lakes import ServedLake, make_lake, make_two_models
from tests.serve.processes import finding_wheels, package_elsewhere, package_in_process

from benchmarks.enduring.asking import Asked, Askers, Requests
from trueup.bundle.golden import Output
from trueup.serve.opening import Opening
from trueup.serve.spooling import Spool


@dataclass(frozen=True)
class Models:
    """A lake with a compiled model as champion, and two that answer from processes."""

    lake: ServedLake
    here: str
    """Digest of the one whose process is of the server's environment."""
    elsewhere: str
    """Digest of the one that needs another environment."""
    variables: Mapping[str, str]
    """Of a server that is to make that environment."""


def make_models(folder: Path) -> Models:
    """Package all three, and put them into a lake of their own."""
    models = folder / "models"
    models.mkdir()
    two = make_two_models(models)
    here, elsewhere = package_in_process(models), package_elsewhere(models)
    return Models(make_lake(two, folder / "lake"), here, elsewhere, finding_wheels(models))


def scores_by(
    lake: ServedLake, digest: str, spool: Path, *, rows: Sequence[Mapping[str, object]]
) -> list[float | None]:
    """Return exactly what a bundle gives for some rows, in the environment that a server with this spool will use."""
    asked = [msgspec.json.encode({name: row[name] for name in ("amount", "age")}).decode() for row in rows]
    folder = lake.store.folder / "bundles" / digest
    opened = Opening(lake.trusted, Spool(spool).environments).open(folder, digest=digest, today=date.today())
    slow = opened.slow
    assert slow is not None
    try:
        return [_number(output) for output in asyncio.run(slow.score(asked))]
    finally:
        slow.close().result()


def model_processes(worker: int) -> list[int]:
    """Return the processes that a worker started for models."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == worker:
            found.append(int(status.parent.name))
    return found


@dataclass
class Died:
    """What was answered around the death of a model's process."""

    before: int = 0
    """Answers with the model's score until it was killed."""
    fallbacks: int = 0
    after: int = 0
    """Answers with its score since the first fallback."""
    wrong: list[str] = field(default_factory=list)
    """What is neither, in words."""


async def kill_model(port: int, worker: int, requests: Requests, scores: Sequence[float | None]) -> Died:
    """Kill the only model's process of a worker under 8 connections; return once it answered 100 times again."""
    died, answered_before, answers_again = Died(), asyncio.Event(), asyncio.Event()

    def look_at(asked: Asked) -> None:
        if asked.answer.status != 200:
            died.wrong.append(f"status {asked.answer.status}")
            return
        told = asked.told
        if told["score"] is None and told["decision_by"] == "fallback":
            died.fallbacks += 1
        elif told["score"] != scores[asked.row]:
            died.wrong.append(f"row {asked.row} scored {told['score']}, {told['reason']}")
        elif died.fallbacks:
            died.after += 1
            if died.after >= 100:
                answers_again.set()
        else:
            died.before += 1
            if died.before >= 100:
                answered_before.set()

    askers = Askers(lambda: port, requests, look_at)
    askers.start(8)
    await asyncio.wait_for(answered_before.wait(), 60)
    [model] = model_processes(worker)
    os.kill(model, signal.SIGKILL)
    await asyncio.wait_for(answers_again.wait(), 60)
    await askers.stop()
    return died


def _number(output: Output) -> float | None:
    return None if output is None else output[0]
