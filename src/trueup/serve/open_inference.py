"""How does a client of the Open Inference Protocol (version 2, JSON over HTTP) ask? One tensor for each column.

A project is a model, and the digest of its champion the version. Tensors become the rows of ``POST /predict`` and take
the same way to a decision and into the log; what differs is only the form of question and answer. A column is sent as
BYTES (categories, texts, dates), a floating or whole number, or BOOL, of shape [n] or [n, 1]; null is a value that is
not known. ``parameters`` may hold `prediction_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from trueup import __version__
from trueup.lake.log_records import DecidedRow
from trueup.serve.loadout import Loadout
from trueup.serve.refusals import BadForm, NotJson, TooManyRows
from trueup.serve.replies import Answered, prediction_text
from trueup.serve.row_requests import Asked, own_id

NUMBERS = frozenset({"FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
DATATYPES = {*NUMBERS, "BOOL", "BYTES"}
_TENSOR_OF = {"number": "FP64", "boolean": "BOOL"}
_DECISION_OF = {"binary": "BOOL", "regression": "FP64", "multiclass": "BYTES"}
_encode = msgspec.json.Encoder().encode
Value = bool | int | float | str | None


class _Tensor(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: list[Value | list[Value]] | None = None


class _Parameters(msgspec.Struct, gc=False):
    prediction_id: str | None = None


class _Wanted(msgspec.Struct, gc=False):
    name: str


class _Inference(msgspec.Struct, gc=False):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[_Wanted] | None = None


_decoder = msgspec.json.Decoder(_Inference)


@dataclass(frozen=True)
class TensorForm:
    """The form of an answer: which tensors, for which request. Equal for a retry of the same request."""

    model: str
    id: str | None
    outputs: tuple[str, ...]

    def __call__(self, answered: Answered) -> bytes:
        """Return the answer as tensors."""
        rows, loadout = answered.rows, answered.loadout
        told = [_output(name, answered) for name in self.outputs]
        head: dict[str, Any] = {"model_name": self.model, "model_version": loadout.champion.digest}
        named = {} if self.id is None else {"id": self.id}
        decided = {"policy_version": loadout.policy.version, "rows": len(rows)}
        return _encode({**head, **named, "parameters": decided, "outputs": told})


def server_metadata() -> bytes:
    """Return the answer of ``GET /v2``."""
    return _encode({"name": "trueup", "version": __version__, "extensions": []})


def model_metadata(model: str, loadout: Loadout) -> bytes:
    """Return the answer of ``GET /v2/models/{model}``: its version and its tensors."""
    inputs = [
        {"name": name, "datatype": _TENSOR_OF.get(kind, "BYTES"), "shape": [-1]}
        for name, kind in loadout.champion.reader.schema.items()
    ]
    outputs = [
        {"name": name, "datatype": _datatype(name, loadout), "shape": _shape(name, -1, loadout)} for name in OUTPUTS
    ]
    return _encode(
        {
            "name": model,
            "versions": [loadout.champion.digest],
            "platform": "trueup",
            "inputs": inputs,
            "outputs": outputs,
        }
    )


def read_inference(body: bytes, *, model: str, most_rows: int) -> tuple[Asked, TensorForm]:
    """Return what the body of ``POST .../infer`` asks, and the form of its answer.

    Raises
    ------
    NotJson
    BadForm
        When it is no inference request, or its tensors do not fit together.
    TooManyRows
    """
    asked = _decode(body)
    rows = _rows_of(asked.inputs, most_rows=most_rows)
    wanted = tuple(OUTPUTS) if asked.outputs is None else tuple(one.name for one in asked.outputs)
    if unknown := [name for name in wanted if name not in OUTPUTS]:
        place = wanted.index(unknown[0])
        raise BadForm(f"output {place} is none of this model; it gives {', '.join(OUTPUTS)}", field="outputs")
    given = asked.parameters.prediction_id if asked.parameters else None
    return Asked(rows, None if given is None else own_id(given)), TensorForm(model, asked.id, wanted)


def _decode(body: bytes) -> _Inference:
    try:
        if not body.isascii():
            body.decode()
        return _decoder.decode(body)
    except msgspec.ValidationError:
        raise BadForm(
            "the request must be an inference request of the Open Inference Protocol: inputs with name, shape, "
            "datatype and data (JSON values: with Triton's client, binary_data=False)"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson(
            "the request is no JSON text in UTF-8; binary tensors are not taken (Triton's client: binary_data=False)"
        ) from None


def _rows_of(tensors: Sequence[_Tensor], *, most_rows: int) -> bytes:
    """Return the tensors as a JSON array of rows."""
    if not tensors:
        raise BadForm("inputs must hold a tensor for each column", field="inputs")
    columns = {tensor.name: _values_of(tensor, place) for place, tensor in enumerate(tensors)}
    counts = {len(values) for values in columns.values()}
    if len(counts) > 1 or len(columns) < len(tensors):
        raise BadForm("inputs must have as many rows in every tensor, and each name once", field="inputs")
    if max(counts) > most_rows:
        raise TooManyRows(
            f"the request has {max(counts)} rows, and at most {most_rows} are answered at once; send several"
        )
    names = list(columns)
    return _encode([dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)])


def _values_of(tensor: _Tensor, place: int) -> list[Value]:
    count = tensor.shape[0] if tensor.shape else -1
    if tensor.datatype not in DATATYPES:
        raise BadForm(f"input {place} has no datatype of the protocol; send one of {', '.join(sorted(DATATYPES))}")
    if tensor.data is None:
        raise BadForm(f"input {place} has no data; binary tensors are not taken (Triton's client: binary_data=False)")
    flat: list[Value] = []
    for value in tensor.data:
        if isinstance(value, list):
            flat.extend(value)
        else:
            flat.append(value)
    if tensor.shape not in ([count], [count, 1]) or len(flat) != count:
        raise BadForm(f"input {place} must be of shape [n] or [n, 1] with n values; it has {len(flat)}")
    if not all(_fits(value, tensor.datatype) for value in flat):
        raise BadForm(f"input {place} holds a value that is no {tensor.datatype}; null is one that is not known")
    return flat


def _fits(value: Value, datatype: str) -> bool:
    if value is None:
        return True
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool) or value in {0, 1}
    return isinstance(value, bool | int | float)


# --- outputs

_Reader = Callable[[DecidedRow, Answered], object]
OUTPUTS: dict[str, _Reader] = {
    "score": lambda row, answered: _scores(row, answered.loadout),
    "decision": lambda row, _: row.acted if row.predicted is None else row.predicted,
    "prediction_id": lambda row, answered: prediction_text(answered.prediction_id, row.row),
    "association_id": lambda row, _: row.association_id or "",
    "qualifies": lambda row, _: row.qualifies,
    "decision_by": lambda row, _: row.role,
    "reason": lambda row, _: row.reason,
    "bundle": lambda row, _: row.model_version,
}
"""What a model gives for each row, and how it is read; `score` is null where no model answered."""


def _output(name: str, answered: Answered) -> dict[str, Any]:
    read, loadout = OUTPUTS[name], answered.loadout
    values: list[Any] = [read(row, answered) for row in answered.rows]
    if name == "score" and _width(loadout) > 1:
        values = [number for row in values for number in row]
    return {
        "name": name,
        "datatype": _datatype(name, loadout),
        "shape": _shape(name, len(answered.rows), loadout),
        "data": values,
    }


def _scores(row: DecidedRow, loadout: Loadout) -> object:
    width = _width(loadout)
    if width == 1:
        return None if row.scores is None else row.scores[0]
    return [None] * width if row.scores is None else row.scores


def _width(loadout: Loadout) -> int:
    return len(loadout.champion.classes) or 1


def _shape(name: str, rows: int, loadout: Loadout) -> list[int]:
    width = _width(loadout)
    return [rows, width] if name == "score" and width > 1 else [rows]


def _datatype(name: str, loadout: Loadout) -> str:
    if name == "decision":
        return _DECISION_OF[loadout.policy.task]
    return {"score": "FP64", "qualifies": "BOOL"}.get(name, "BYTES")
