"""How is what stands before, between and after the trees of a model computed in microseconds? A list of instructions.

All numbers of a row stand in places of one vector: the decoded features first, then what each instruction writes. An
instruction is a handful of NumPy calls on views of that vector, which are made once for each thread; many rows are the
same calls on a matrix with one column for each row. Only operations that round every element by itself are used, and
sums are added from the first to the last, so that one row and many rows give the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.predictors.instructions import INSTRUCTIONS
from trueup.bundle.predictors.predictor import Opener, Stage
from trueup.bundle.predictors.spans import Call, Instruction, Span, span_of

Numbers = NDArray[np.float64]
_ROWS_AT_ONCE = 1024


class Program:
    """A stage that carries out instructions.

    Parameters
    ----------
    instructions : sequence of Instruction
        In the order in which they run; each writes places of its own.
    inputs : int
        Numbers of a row that comes in; they take the first places.
    width : int
        Places in all.
    outputs : (int, int)
        First place of the answer and the place behind its last.
    """

    def __init__(self, instructions: Sequence[Instruction], *, inputs: int, width: int, outputs: Span) -> None:
        self._instructions = tuple(instructions)
        self._inputs = inputs
        self._width = width
        self._outputs = slice(*outputs)
        self._own = threading.local()

    def one(self, row: Numbers) -> Numbers:
        """Return the answer to one row."""
        try:
            taken, calls, answer, silently = self._own.bound
        except AttributeError:
            taken, calls, answer = self._bind(np.zeros(self._width))
            silently = _silent_context().run
            self._own.bound = taken, calls, answer, silently
        taken[:] = row
        silently(_call_all, calls)
        return np.array(answer)

    def many(self, matrix: Numbers) -> Numbers:
        """Return the answers to many rows, a thousand at a time: the working memory stays small."""
        answers = np.empty((len(matrix), self._outputs.stop - self._outputs.start))
        for first in range(0, len(matrix), _ROWS_AT_ONCE):
            part = matrix[first : first + _ROWS_AT_ONCE]
            if len(part) == 1:
                answers[first] = self.one(part[0])
                continue
            taken, calls, answer = self._bind(np.zeros((self._width, len(part))))
            taken[:] = part.T
            with np.errstate(all="ignore"):
                for call in calls:
                    call()
            answers[first : first + len(part)] = answer.T
        return answers

    def _bind(self, places: Numbers) -> tuple[Numbers, list[Call], Numbers]:
        calls = [call for instruction in self._instructions for call in instruction.bind(places)]
        return places[: self._inputs], calls, places[self._outputs]


class _CallStage:
    """Hands places to another stage, such as trees, and takes its answer."""

    def __init__(self, stage: Stage, *, taken: Span, given: Span) -> None:
        self._stage = stage
        self._taken = slice(*taken)
        self._given = slice(*given)

    def bind(self, places: Numbers) -> list[Call]:
        """Return the calls on these places."""
        taken, given = places[self._taken], places[self._given]
        return [partial(_call_one if places.ndim == 1 else _call_many, self._stage, taken, given)]


def open_program(document: Mapping[str, Any], files: Mapping[str, bytes], *, openers: Mapping[str, Opener]) -> Program:
    """Return the program that a document describes.

    Parameters
    ----------
    document : mapping
        A stage of kind ``program``.
    files : mapping
        Content by name, for the stages it calls.
    openers : mapping
        What opens each kind of stage that it may call.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError
        When it describes none; `open_predictor` says so of its file.
    """
    inputs, width = int(document["inputs"]), int(document["width"])
    if not 0 <= inputs <= width:
        raise ValueError("a program has places for its inputs")
    instructions: list[Instruction] = []
    for entry in document["instructions"]:
        if entry["kind"] == "call":
            stage = openers[entry["stage"]["kind"]](entry["stage"], files)
            taken, given = span_of(entry, "from", width=width), span_of(entry, "to", width=width)
            instructions.append(_CallStage(stage, taken=taken, given=given))
        else:
            instructions.append(INSTRUCTIONS[entry["kind"]](entry, width))
    return Program(instructions, inputs=inputs, width=width, outputs=span_of(document, "outputs", width=width))


def _silent_context() -> Context:
    """Return a context in which NumPy says nothing of invalid numbers; entering it costs a tenth of `errstate`."""
    context = copy_context()
    context.run(np.seterr, all="ignore")
    return context


def _call_all(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


def _call_one(stage: Stage, taken: Numbers, given: Numbers) -> None:
    given[:] = stage.one(taken)


def _call_many(stage: Stage, taken: Numbers, given: Numbers) -> None:
    given[:] = stage.many(np.ascontiguousarray(taken.T)).T
