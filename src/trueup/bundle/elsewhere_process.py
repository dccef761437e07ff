"""The side in the bundle's own environment: opens, verifies and replays the bundle, then answers until its caller ends.

It ends itself when the process that holds its model has ended, asked or not: its caller then starts both again.

What is written to standard output by anything else goes to standard error, so that it is no answer.
"""

from __future__ import annotations

import os
import select
from datetime import date
from pathlib import Path
from typing import IO, Any

from trueup.bundle.errors import BundleError, BundleRefused, RowBreaksSchema
from trueup.bundle.loading import LoadedBundle, open_bundle
from trueup.bundle.scoring import ModelProcess
from trueup.bundle.wire import receive, send

_LOOK_SECONDS = 0.25
"""Between looks at whether the model's process lives while nobody asks; a look is one system call."""


def run() -> None:
    """Serve one caller on standard input and output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with os.fdopen(os.dup(0), "rb") as questions:
        first = receive(questions)
        if first is None:
            return
        try:
            bundle = _open(first[0])
        except BundleError as error:
            send(answers, _told(error))
            return
        send(answers, {})
        with bundle:
            _answer(bundle, questions, answers)


def _open(head: dict[str, Any]) -> LoadedBundle:
    keys = [Path(key) for key in head["trusted"]]
    today = date.fromisoformat(head["today"]) if head["today"] else None
    return open_bundle(Path(head["folder"]), trusted_keys=keys, today=today)


def _answer(bundle: LoadedBundle, questions: IO[bytes], answers: IO[bytes]) -> None:
    model = bundle.answering if isinstance(bundle.answering, ModelProcess) else None
    while _is_asked(questions, model) and (question := receive(questions)) is not None:
        if model is not None:
            model.answer_within(question[0]["seconds"])
        requests = question[1].decode().split("\n")
        try:
            outputs = bundle.answering.score_requests(requests)
        except BundleError as error:
            send(answers, _told(error))
            if model is not None and model.has_ended:
                return
            continue
        numbers = [None if output is None else [number.hex() for number in output] for output in outputs]
        send(answers, {"outputs": numbers})


def _is_asked(questions: IO[bytes], model: ModelProcess | None) -> bool:
    """Wait for the next question, or for the caller's end; return False where the model's process ends before."""
    if model is None:
        return True
    while not select.select([questions], [], [], _LOOK_SECONDS)[0]:  # no part of a next one is read before an answer
        if model.has_ended:
            return False
    return True


def _told(error: BundleError) -> dict[str, Any]:
    kind = "refused" if isinstance(error, BundleRefused) else "row" if isinstance(error, RowBreaksSchema) else "failed"
    facts = {name: value for name, value in error.facts.items() if isinstance(value, str | int | float)}
    return {"error": kind, "message": error.message, "facts": facts}
