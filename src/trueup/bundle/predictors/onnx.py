"""How does a model in ONNX format answer? ONNX Runtime on one thread, imported when such a stage is opened.

The model takes either one matrix of float64 (or of float32, to which numbers are rounded), or one column for each
input: numbers as float64, categories as text (of its own where missing). It gives one tensor of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import LibraryMissing

Numbers = NDArray[np.float64]


class OnnxStage:
    """A model that ONNX Runtime computes.

    Parameters
    ----------
    content : bytes
        The model.
    inputs : sequence
        One entry for each column: None for numbers, else the texts that the positions stand for; empty for a model
        that takes one matrix.
    output : str
        Name of the tensor that is the answer.
    missing : str
        The text that stands for a missing category.
    """

    def __init__(self, content: bytes, *, inputs: list[list[str] | None], output: str, missing: str = "") -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session = _session(runtime, content, options)
        self._names = [one.name for one in self._session.get_inputs()]
        self._matrix_type = np.float32 if self._session.get_inputs()[0].type == "tensor(float)" else np.float64
        self._texts = [None if known is None else np.array([*known, missing], dtype=object) for known in inputs]
        self._output = [output]

    def one(self, row: Numbers) -> Numbers:
        """Return the numbers of one row."""
        return np.asarray(self.many(row[None, :])[0])

    def many(self, matrix: Numbers) -> Numbers:
        """Return the numbers of many rows."""
        answer = self._session.run(self._output, self._fed(matrix))[0]
        return np.asarray(answer, dtype=np.float64).reshape(len(matrix), -1)

    def _fed(self, matrix: Numbers) -> dict[str, Any]:
        if not self._texts:
            with np.errstate(over="ignore"):
                return {self._names[0]: np.ascontiguousarray(matrix, dtype=self._matrix_type)}
        return {
            name: _column(matrix[:, place : place + 1], texts)
            for place, (name, texts) in enumerate(zip(self._names, self._texts, strict=True))
        }


def open_onnx(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> OnnxStage:
    """Return the stage that a document describes.

    Raises
    ------
    LibraryMissing
        When ONNX Runtime is not installed.
    """
    missing = str(stage.get("missing", ""))
    return OnnxStage(files[stage["file"]], inputs=stage["inputs"], output=stage["output"], missing=missing)


def _column(numbers: Numbers, texts: NDArray[np.object_] | None) -> Any:
    if texts is None:
        return np.ascontiguousarray(numbers)
    return texts[np.where(np.isnan(numbers), len(texts) - 1, numbers).astype(np.int64)]


def _session(runtime: Any, content: bytes, options: Any) -> Any:
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    refusals = (states.InvalidProtobuf, states.InvalidGraph, states.NotImplemented, states.InvalidArgument, states.Fail)
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise ValueError("ONNX Runtime refuses the model") from error


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise LibraryMissing(
            "this bundle is served with ONNX Runtime, which is not installed here; install trueup[onnx], or open the "
            "bundle with its original model",
            library="onnxruntime",
        ) from error
    return onnxruntime
