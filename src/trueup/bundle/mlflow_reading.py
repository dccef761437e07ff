"""What does an MLflow model folder say? Its flavour, file, signature, example and requirements; nothing is executed.

The format is MLflow's (https://mlflow.org/docs/latest/ml/model/): a YAML file ``MLmodel`` beside what it names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from trueup.bundle.errors import BundleError

MODEL_FILE = "MLmodel"
Form = Literal["pickle", "skops", "lightgbm", "onnx"]
_FLAVOURS = ("lightgbm", "onnx", "sklearn")
_TYPES = ("double", "float", "long", "integer", "string", "boolean", "datetime")
_TENSORS = {
    "float64": "double",
    "float32": "float",
    "int64": "long",
    "int32": "integer",
    "bool": "boolean",
    "object": "string",
    "str": "string",
}
_MOST_DEPTH = 6
_MOST_BYTES = 16_000_000


class MlflowUnreadable(BundleError):
    """A folder is no MLflow model that can be read."""

    code = "bundle.mlflow-unreadable"


class MlflowUnsupported(BundleError):
    """An MLflow model is of a kind that cannot become a bundle; the message says what can."""

    code = "bundle.mlflow-unsupported"


@dataclass(frozen=True)
class LoggedColumn:
    """One input as the signature declares it."""

    name: str
    type: str
    """MLflow's name: double, float, long, integer, string, boolean or datetime."""
    required: bool = True


@dataclass(frozen=True)
class LoggedModel:
    """An MLflow model folder, read."""

    folder: Path
    flavour: str
    """lightgbm, onnx or sklearn."""
    form: Form
    """What its file is."""
    file: Path
    columns: tuple[LoggedColumn, ...] | None
    """From the signature; None without one."""
    unnamed: bool = False
    """Whether the signature declares columns, or the width of an array, without names."""
    example: tuple[Mapping[str, Any], ...] = ()
    """Rows of the input example, by column name."""
    requirements: tuple[str, ...] = ()
    """Lines of ``requirements.txt``."""
    code: Mapping[str, bytes] = field(default_factory=dict)
    """Python files that were logged with it, by path."""
    notes: tuple[str, ...] = ()
    """What was left out, in words."""


def find_model_folder(path: Path) -> Path:
    """Return the MLflow model folder at `path`, or the only one below it, such as in a run's artifacts.

    Raises
    ------
    MlflowUnreadable
        When there is none, or more than one.
    """
    if (path / MODEL_FILE).is_file():
        return path
    found = sorted(file.parent for file in path.rglob(MODEL_FILE) if len(file.relative_to(path).parts) <= _MOST_DEPTH)
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(str(folder.relative_to(path)) for folder in found[:5])
        raise MlflowUnreadable(f"{path} holds {len(found)} MLflow models; name one of them: {some}", path=str(path))
    hint = "; a model in a tracking server must be downloaded first: mlflow artifacts download --artifact-uri ..."
    raise MlflowUnreadable(f"there is no MLflow model in {path}: no file {MODEL_FILE}{hint}", path=str(path))


def read_logged_model(path: Path) -> LoggedModel:
    """Return what the MLflow model at `path` says about itself.

    Raises
    ------
    MlflowUnreadable
        When it is no MLflow model, a file is missing, or a path leaves the folder.
    MlflowUnsupported
        When no flavour, input type or serialization of it can become a bundle.
    """
    folder = find_model_folder(path).resolve()
    document = _parsed(folder / MODEL_FILE, yaml.safe_load)
    flavours = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavours, dict):
        raise MlflowUnreadable(f"{folder / MODEL_FILE} names no flavors", path=str(folder))
    metadata = document.get("metadata")
    if isinstance(metadata, dict) and "trueup" in metadata:
        raise MlflowUnsupported(f"{folder} is the model of a Trueup bundle already; use the bundle itself")
    flavour = next((name for name in _FLAVOURS if isinstance(flavours.get(name), dict)), None)
    if flavour is None:
        raise MlflowUnsupported(
            f"the model has the flavours {', '.join(sorted(map(str, flavours)))}, and {', '.join(_FLAVOURS)} can "
            "become a bundle; log it with mlflow.sklearn, mlflow.lightgbm or mlflow.onnx",
            flavours=sorted(map(str, flavours)),
        )
    description = flavours[flavour]
    form, file = _model_file(folder, flavour, description)
    inputs = _inputs(document.get("signature"))
    columns, unnamed = _columns(inputs)
    example, notes = _example(folder, document, columns)
    return LoggedModel(
        folder=folder,
        flavour=flavour,
        form=form,
        file=file,
        columns=columns,
        unnamed=unnamed,
        example=example,
        requirements=_requirements(folder),
        code=_code(folder, description.get("code")),
        notes=notes,
    )


def _model_file(folder: Path, flavour: str, description: Mapping[str, Any]) -> tuple[Form, Path]:
    named = description.get("pickled_model" if flavour == "sklearn" else "data")
    file = _inside(folder, named, what="the model's file")
    if flavour == "onnx":
        return "onnx", file
    booster = description.get("model_class", "lightgbm.basic.Booster") == "lightgbm.basic.Booster"
    if flavour == "lightgbm" and booster:
        return "lightgbm", file
    serialized = description.get("serialization_format") or ("cloudpickle" if flavour == "lightgbm" else "pickle")
    if serialized not in ("pickle", "cloudpickle", "skops"):
        raise MlflowUnsupported(
            f'the model is serialized as "{serialized}"; pickle, cloudpickle and skops can be read', seen=serialized
        )
    return ("skops" if serialized == "skops" else "pickle"), file


def _inputs(signature: Any) -> list[dict[str, Any]] | None:
    if not isinstance(signature, dict) or not signature.get("inputs"):
        return None
    try:
        inputs = json.loads(signature["inputs"])
    except (TypeError, ValueError, RecursionError) as error:
        raise MlflowUnreadable("the signature's inputs are no JSON") from error
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise MlflowUnreadable("the signature's inputs must be a list of columns")
    return inputs


def _columns(inputs: Sequence[Mapping[str, Any]] | None) -> tuple[tuple[LoggedColumn, ...] | None, bool]:
    """Return the columns, and whether they have no names: then they are called x0, x1, ..."""
    if inputs is None:
        return None, False
    unnamed = not any(one.get("name") for one in inputs)
    if unnamed and len(inputs) == 1 and inputs[0].get("type") == "tensor":
        return _of_array(inputs[0]), True
    columns = tuple(_column(one, place) for place, one in enumerate(inputs))
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise MlflowUnreadable("the signature names a column twice")
    return columns, unnamed


def _of_array(declared: Mapping[str, Any]) -> tuple[LoggedColumn, ...]:
    spec = declared.get("tensor-spec")
    shape, dtype = (spec.get("shape"), str(spec.get("dtype"))) if isinstance(spec, dict) else (None, "")
    if not isinstance(shape, list) or len(shape) != 2 or not isinstance(shape[1], int) or shape[1] < 1:
        raise MlflowUnsupported(
            f"the model takes an array of shape {shape}; tables with a known number of columns can become a bundle",
            shape=shape,
        )
    kind = _TENSORS.get(dtype)
    if kind is None:
        raise MlflowUnsupported(f'the model takes an array of type "{dtype}", which no column of a table has')
    return tuple(LoggedColumn(f"x{place}", kind) for place in range(shape[1]))


def _column(declared: Mapping[str, Any], place: int) -> LoggedColumn:
    name, kind = declared.get("name"), declared.get("type")
    if kind == "tensor":
        spec = declared.get("tensor-spec")
        kind = (
            _TENSORS.get(str(spec.get("dtype"))) if isinstance(spec, dict) and _is_column(spec.get("shape")) else None
        )
    if kind not in _TYPES:
        said = declared.get("type") if isinstance(declared.get("type"), str) else "?"
        raise MlflowUnsupported(
            f'input {place} ("{name}") of the signature is of type "{said}"; columns of {", ".join(_TYPES)} can become '
            "features",
            column=str(name),
        )
    required = bool(declared.get("required", not declared.get("optional", False)))
    return LoggedColumn(name if isinstance(name, str) else f"x{place}", kind, required)


def _is_column(shape: Any) -> bool:
    return isinstance(shape, list) and (len(shape) == 1 or (len(shape) == 2 and shape[1] in (1, -1)))


def _example(
    folder: Path, document: Mapping[str, Any], columns: Sequence[LoggedColumn] | None
) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    told = document.get("saved_input_example_info")
    if not isinstance(told, dict) or not isinstance(told.get("artifact_path"), str):
        return (), ()
    kind = told.get("type")
    content = _parsed(_inside(folder, told["artifact_path"], what="the input example"), json.loads)
    if isinstance(content, list):
        content = {"inputs": content}
    if not isinstance(content, dict):
        raise MlflowUnreadable("the input example holds no rows")
    if kind == "dataframe" and isinstance(content.get("data"), list):
        names = content.get("columns")
        rows = content["data"]
    elif kind == "ndarray" and isinstance(content.get("inputs"), list):
        names, rows = None, content["inputs"]
    else:
        return (), (f'the input example of type "{kind}" was not used; a data frame or an array is',)
    names = names if isinstance(names, list) else [column.name for column in columns or ()]
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return (), ("the input example was not used: its rows are not as wide as the signature",)
    return tuple({str(name): _known(value) for name, value in zip(names, row, strict=True)} for row in rows), ()


def _known(value: Any) -> Any:
    """Return None for NaN, which MLflow writes where a value is missing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _requirements(folder: Path) -> tuple[str, ...]:
    file = folder / "requirements.txt"
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _code(folder: Path, named: Any) -> dict[str, bytes]:
    if not named:
        return {}
    root = _inside(folder, named, what="its code")
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.py")) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if path.resolve().is_relative_to(folder)}


def _inside(folder: Path, named: Any, *, what: str) -> Path:
    path = (folder / named).resolve() if isinstance(named, str) and "\0" not in named else None
    if path is None or path == folder or not path.is_relative_to(folder):
        raise MlflowUnreadable(f"{folder / MODEL_FILE} does not name {what} inside its folder")
    if not path.exists():
        raise MlflowUnreadable(f"{what} {path.name} is missing from {folder}", path=str(path))
    return path


def _parsed(path: Path, parse: Callable[[bytes], Any]) -> Any:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise MlflowUnreadable(f"{path} is larger than {_MOST_BYTES // 1_000_000} MB", path=str(path))
        document = parse(path.read_bytes())
    except OSError as error:
        raise MlflowUnreadable(f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError, RecursionError) as error:
        # the loader of YAML meets values that its tags do not fit with errors of every kind
        raise MlflowUnreadable(f"{path} cannot be read: it is not in its format", path=str(path)) from error
    return document
