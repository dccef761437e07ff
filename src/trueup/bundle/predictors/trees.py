"""How does an ensemble of trees answer in microseconds? LightGBM's C library, opened without its Python package.

Trees of scikit-learn are written as LightGBM text too (`compiling.lightgbm_text`), so that one library serves them all.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import ModelFailed
from trueup.bundle.predictors.native_libraries import open_library
from trueup.bundle.predictors.recoding import Recoding, open_recoding

Numbers = NDArray[np.float64]
_NORMAL, _ALL_ITERATIONS, _FLOAT64, _BY_ROW = 0, -1, 1, 1
_PARAMETERS = b"num_threads=1 verbosity=-1"
_ADDRESS, _INT = ctypes.c_void_p, ctypes.c_int


class LightgbmTrees:
    """A model in LightGBM's text format.

    Parameters
    ----------
    text : bytes
        The model.
    inputs, outputs : int
        Numbers in a row and in its answer.
    recoding : Recoding
        What is rewritten in a row first.

    Raises
    ------
    LibraryMissing
        When LightGBM's library is not on this machine.
    ValueError
        When it refuses the text, or the model has other numbers of inputs or outputs.

    Notes
    -----
    Threads may call it at once. LightGBM locks a prepared call, so each thread prepares its own; the trees are shared.
    """

    def __init__(self, text: bytes, *, inputs: int, outputs: int, recoding: Recoding | None = None) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._recoding = recoding or Recoding()
        self._recodes = bool(self._recoding)
        self._trees = _Trees(text)
        if (found := self._trees.shape()) != (inputs, outputs):
            raise ValueError(f"the trees take {found[0]} numbers and give {found[1]}, not {inputs} and {outputs}")
        self._lanes = threading.local()

    def one(self, row: Numbers) -> Numbers:
        """Return the numbers of one row, shape (inputs,), as shape (outputs,).

        Raises
        ------
        ValueError
            When the row has another shape.
        ModelFailed
            When the library fails.
        """
        try:
            lane = self._lanes.own
        except AttributeError:
            lane = self._lanes.own = _Lane(self._trees, self._inputs, self._outputs)
        given = lane.given
        if row.shape != given.shape:
            raise ValueError(f"a row of {self._inputs} numbers was expected, not of shape {row.shape}")
        given[:] = row
        if self._recodes:
            self._recoding.one(lane.view)
        if lane.call(lane.prepared, lane.given_at, lane.length_at, lane.answer_at):
            raise _failure(self._trees.library)
        answer: Numbers = lane.answer.copy()
        return answer

    def many(self, matrix: Numbers) -> Numbers:
        """Return the numbers of many rows, from shape (n, inputs) to (n, outputs); raises like `one`."""
        if matrix.ndim != 2 or matrix.shape[1] != self._inputs:
            raise ValueError(f"rows of {self._inputs} numbers were expected, not of shape {matrix.shape}")
        if self._recoding:
            given = np.array(matrix, dtype=np.float64, order="C")
            self._recoding.many(given)
        else:
            given = np.ascontiguousarray(matrix, dtype=np.float64)
        answer = np.empty((len(given), self._outputs))
        self._trees.answer_many(given, answer)
        return answer


def open_lightgbm(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> LightgbmTrees:
    """Return the stage that a document describes.

    Raises
    ------
    LibraryMissing
        When LightGBM's library is not on this machine.
    ValueError
        When the document and the trees do not fit together.
    """
    inputs = int(stage["inputs"])
    recoding = open_recoding(stage.get("recoding", {}), width=inputs)
    return LightgbmTrees(files[stage["file"]], inputs=inputs, outputs=int(stage["outputs"]), recoding=recoding)


class _Trees:
    """The opened model: one for all threads, freed with the last of them."""

    def __init__(self, text: bytes) -> None:
        self.library = _library()
        self.handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        if self.library.LGBM_BoosterLoadModelFromString(text, ctypes.byref(iterations), ctypes.byref(self.handle)):
            raise ValueError(f"LightGBM refuses the trees: {_message(self.library)}")
        weakref.finalize(self, self.library.LGBM_BoosterFree, self.handle)

    def shape(self) -> tuple[int, int]:
        """Return how many numbers a row and an answer have."""
        inputs, outputs = ctypes.c_int(), ctypes.c_int()
        self.library.LGBM_BoosterGetNumFeature(self.handle, ctypes.byref(inputs))
        self.library.LGBM_BoosterGetNumClasses(self.handle, ctypes.byref(outputs))
        return inputs.value, outputs.value

    def answer_many(self, given: Numbers, answer: Numbers) -> None:
        """Write the answers of rows in C order."""
        if not len(given):
            return
        arguments = (given.ctypes.data, _FLOAT64, *given.shape, _BY_ROW, _NORMAL, 0, _ALL_ITERATIONS, _PARAMETERS)
        length = ctypes.c_int64()
        if self.library.LGBM_BoosterPredictForMat(self.handle, *arguments, ctypes.byref(length), answer.ctypes.data):
            raise _failure(self.library)


class _Lane:
    """What one thread needs for single rows: a prepared call and its own buffers."""

    def __init__(self, trees: _Trees, inputs: int, outputs: int) -> None:
        self.trees = trees  # outlives the prepared call
        self.given, self.answer = np.empty(inputs), np.empty(outputs)
        self.view = cast("memoryview[float]", self.given.data)
        self.length = ctypes.c_int64()
        self.prepared = ctypes.c_void_p()
        library = trees.library
        if library.LGBM_BoosterPredictForMatSingleRowFastInit(
            trees.handle, _NORMAL, 0, _ALL_ITERATIONS, _FLOAT64, inputs, _PARAMETERS, ctypes.byref(self.prepared)
        ):
            raise _failure(library)
        weakref.finalize(self, library.LGBM_FastConfigFree, self.prepared)
        self.call = library.LGBM_BoosterPredictForMatSingleRowFast
        self.given_at, self.answer_at = self.given.ctypes.data, self.answer.ctypes.data
        self.length_at = ctypes.addressof(self.length)


def _library() -> ctypes.CDLL:
    library = open_library("lightgbm", stem="lib_lightgbm", install="lightgbm")
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    library.LGBM_BoosterLoadModelFromString.argtypes = [ctypes.c_char_p, _ADDRESS, _ADDRESS]
    library.LGBM_BoosterFree.argtypes = library.LGBM_FastConfigFree.argtypes = [_ADDRESS]
    library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [_ADDRESS] * 4
    library.LGBM_BoosterPredictForMatSingleRowFastInit.argtypes = [
        *(_ADDRESS, _INT, _INT, _INT, _INT, ctypes.c_int32, ctypes.c_char_p, _ADDRESS)
    ]
    library.LGBM_BoosterPredictForMat.argtypes = [
        *(_ADDRESS, _ADDRESS, _INT, ctypes.c_int32, ctypes.c_int32, _INT, _INT, _INT, _INT, ctypes.c_char_p),
        *(_ADDRESS, _ADDRESS),
    ]
    return library


def _failure(library: ctypes.CDLL) -> ModelFailed:
    return ModelFailed(f"LightGBM could not compute an answer: {_message(library)}")


def _message(library: ctypes.CDLL) -> str:
    return bytes(library.LGBM_GetLastError()).decode(errors="replace")
