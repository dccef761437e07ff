"""How does a model of XGBoost answer? Its own C library, opened without its Python package, on a dense row in place.

XGBoost computes in float32; an answer is its float32 as float64. A call parses two short JSON texts, which is most of
what a row costs, so they are made once.
"""

from __future__ import annotations

import ctypes
import json
import math
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
_ADDRESS = ctypes.c_void_p


class XgboostTrees:
    """A model in XGBoost's UBJSON format.

    Parameters
    ----------
    content : bytes
        The model.
    inputs, outputs : int
        Numbers in a row and in its answer.
    rounds : int
        How many rounds answer; 0 for all.
    missing : float
        What counts as missing in a row.
    recoding : Recoding
        What is rewritten in a row first.

    Raises
    ------
    LibraryMissing
        When XGBoost's library is not on this machine.
    ValueError
        When it refuses the model, or the model has other numbers of inputs or outputs.

    Notes
    -----
    Threads may call it at once: XGBoost keeps each thread's answer apart.
    """

    def __init__(
        self,
        content: bytes,
        *,
        inputs: int,
        outputs: int,
        rounds: int = 0,
        missing: float = math.nan,
        recoding: Recoding | None = None,
    ) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._recoding = recoding or Recoding()
        self._model = _Model(content, rounds=rounds, missing=missing)
        self._lanes = threading.local()
        if (found := self._model.inputs()) != inputs:
            raise ValueError(f"the trees take {found} numbers, not {inputs}")
        self.many(np.zeros((1, inputs)))  # prepares what threads share, and compares the outputs

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
            lane = self._lanes.own = _Lane(self._inputs)
        if row.shape != lane.given.shape:
            raise ValueError(f"a row of {self._inputs} numbers was expected, not of shape {row.shape}")
        lane.given[:] = row
        if self._recoding:
            self._recoding.one(lane.view)
        answer = self._model.answer(lane.described)
        return np.array(answer[: self._outputs], dtype=np.float64)

    def many(self, matrix: Numbers) -> Numbers:
        """Return the numbers of many rows, from shape (n, inputs) to (n, outputs); raises like `one`."""
        if matrix.ndim != 2 or matrix.shape[1] != self._inputs:
            raise ValueError(f"rows of {self._inputs} numbers were expected, not of shape {matrix.shape}")
        if not len(matrix):
            return np.empty((0, self._outputs))
        given = np.array(matrix, dtype=np.float64, order="C")
        if self._recoding:
            self._recoding.many(given)
        answer = self._model.answer(_description(given))
        if (found := self._model.answered()) != len(given) * self._outputs:
            raise ValueError(f"the trees give {found / len(given):g} numbers for a row, not {self._outputs}")
        numbers = np.ctypeslib.as_array(answer, shape=(len(given), self._outputs))
        return numbers.astype(np.float64)


def open_xgboost(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> XgboostTrees:
    """Return the stage that a document describes.

    Raises
    ------
    LibraryMissing
        When XGBoost's library is not on this machine.
    ValueError
        When the document and the trees do not fit together.
    """
    inputs = int(stage["inputs"])
    missing = stage.get("missing")
    return XgboostTrees(
        files[stage["file"]],
        inputs=inputs,
        outputs=int(stage["outputs"]),
        rounds=int(stage.get("rounds", 0)),
        missing=math.nan if missing is None else float(missing),
        recoding=open_recoding(stage.get("recoding", {}), width=inputs),
    )


class _Model:
    """The opened model and the buffers of its last answer, by thread."""

    def __init__(self, content: bytes, *, rounds: int, missing: float) -> None:
        self._library = library = _library()
        self._handle = ctypes.c_void_p()
        _opened(library, library.XGBoosterCreate(None, 0, ctypes.byref(self._handle)))
        weakref.finalize(self, library.XGBoosterFree, self._handle)
        if not content:
            raise ValueError("XGBoost refuses the trees: the file is empty")
        _opened(library, library.XGBoosterLoadModelFromBuffer(self._handle, content, len(content)))
        _opened(library, library.XGBoosterSetParam(self._handle, b"nthread", b"1"))
        self._settings = json.dumps(
            {
                "type": 0,  # the answer, not the margin
                "training": False,
                "iteration_begin": 0,
                "iteration_end": rounds,
                "strict_shape": False,
                "cache_id": 0,
                "missing": missing,
            }
        ).encode()
        self._thread = threading.local()

    def inputs(self) -> int:
        """Return how many numbers a row has."""
        found = ctypes.c_uint64()
        _opened(self._library, self._library.XGBoosterGetNumFeature(self._handle, ctypes.byref(found)))
        return found.value

    def answer(self, described: bytes) -> Any:
        """Return a pointer to the answers of rows; valid until this thread asks again."""
        try:
            places = self._thread.places
        except AttributeError:
            places = self._thread.places = _Places()
        if self._library.XGBoosterPredictFromDense(self._handle, described, self._settings, None, *places.addresses):
            raise ModelFailed(f"XGBoost could not compute an answer: {_message(self._library)}")
        return places.answer

    def answered(self) -> int:
        """Return how many numbers this thread's last answer holds."""
        places = self._thread.places
        return math.prod(places.shape[: places.dimensions.value])


class _Places:
    """Where XGBoost writes the shape and the place of an answer."""

    def __init__(self) -> None:
        self.shape = ctypes.POINTER(ctypes.c_uint64)()
        self.dimensions = ctypes.c_uint64()
        self.answer = ctypes.POINTER(ctypes.c_float)()
        self.addresses = tuple(map(ctypes.addressof, (self.shape, self.dimensions, self.answer)))


class _Lane:
    """What one thread needs for single rows: a buffer, and its description made once."""

    def __init__(self, inputs: int) -> None:
        self.given = np.empty(inputs)
        self.view = cast("memoryview[float]", self.given.data)
        self.described = _description(self.given[None, :])


def _description(rows: Numbers) -> bytes:
    """Return NumPy's array interface of rows in C order, as JSON."""
    place = {"data": [rows.ctypes.data, True], "shape": list(rows.shape), "typestr": "<f8", "version": 3}
    return json.dumps(place).encode()


def _opened(library: ctypes.CDLL, code: int) -> None:
    if code:
        raise ValueError(f"XGBoost refuses the trees: {_message(library)}")


def _message(library: ctypes.CDLL) -> str:
    lines = bytes(library.XGBGetLastError()).decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "it gives no reason"


def _library() -> ctypes.CDLL:
    library = open_library("xgboost", stem="libxgboost", install="trueup[xgboost]")
    library.XGBGetLastError.restype = ctypes.c_char_p
    library.XGBoosterCreate.argtypes = [_ADDRESS, ctypes.c_uint64, _ADDRESS]
    library.XGBoosterFree.argtypes = [_ADDRESS]
    library.XGBoosterGetNumFeature.argtypes = [_ADDRESS, _ADDRESS]
    library.XGBoosterLoadModelFromBuffer.argtypes = [_ADDRESS, ctypes.c_char_p, ctypes.c_uint64]
    library.XGBoosterSetParam.argtypes = [_ADDRESS, ctypes.c_char_p, ctypes.c_char_p]
    library.XGBoosterPredictFromDense.argtypes = [
        *(_ADDRESS, ctypes.c_char_p, ctypes.c_char_p, _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS)
    ]
    return library
