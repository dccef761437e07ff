"""What happens in the process that opens a model made elsewhere? It confines itself, opens, looks, and answers once.

Started by `examining.examine`.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueup.bundle.categories_known import categories_known
from trueup.bundle.errors import ModelFailed
from trueup.bundle.mlflow_reading import MlflowUnsupported
from trueup.bundle.native_models import LightGBMModel, Reordered
from trueup.bundle.onnx_graphs import open_onnx
from trueup.bundle.pickles import OwnCode, load_pickle
from trueup.bundle.sandbox import Limits, allow_cpu_time, enter_sandbox, refuse_strangers
from trueup.bundle.skops_files import load_skops
from trueup.bundle.values import category_text
from trueup.bundle.wire import receive, send
from trueup.kernel.errors import TrueupError


def main() -> None:
    """Answer the one message."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the model prints must not be read as an answer
    warnings.simplefilter("ignore")
    message = receive(sys.stdin.buffer)
    if message is None:
        return
    try:
        send(answers, *_examined(*message))
    except Exception as error:  # noqa: BLE001 - process boundary: every failure is told to the caller
        send(answers, {"error": _error(error)})


def _examined(head: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    limits = Limits(**head["limits"])
    level = enter_sandbox(scratch=Path(head["scratch"]), limits=limits)
    refuse_strangers(level)
    allow_cpu_time(limits.cpu_seconds)
    opened = _opened(head["form"], content, head["code"])
    model = _without_pickle(opened)
    task, labels = _task_of(model)
    names, width = _inputs_of(opened, head["names"])
    known = categories_known(opened, names)
    places = _places(labels, head["classes"])
    shipped = model if places is None else Reordered(model, places)
    unchanged = head["form"] == "pickle" and shipped is opened
    facts = {
        "kind": type(opened).__name__,
        "task": task,
        "labels": labels if places is None else [labels[place] for place in places],
        "names": names,
        "width": width,
        "categories": known.texts,
        "typed": known.typed,
    }
    return facts, content if unchanged else pickle.dumps(shipped, protocol=5)


def _opened(form: str, content: bytes, code: str | None) -> Any:
    if form == "lightgbm":
        return LightGBMModel(content.decode())
    if form == "onnx":
        return open_onnx(content)
    own = _own_code(code)
    return load_skops(content) if form == "skops" else load_pickle(content, own=own)


def _own_code(code: str | None) -> OwnCode:
    if code is None:
        return OwnCode()
    sys.path.insert(0, code)
    sys.dont_write_bytecode = True
    modules = {path.name.removesuffix(".py") for path in Path(code).iterdir()}
    return OwnCode(modules=frozenset(modules), folder=Path(code))


def _without_pickle(model: Any) -> Any:
    """Return LightGBM's scikit-learn estimators as their own text; anything else as it is."""
    if type(model).__module__ != "lightgbm.sklearn":
        return model
    if callable(getattr(model, "objective", None)):
        raise MlflowUnsupported("the LightGBM model has an objective of its own, so its answers are no probabilities")
    native = LightGBMModel(model.booster_.model_to_string(num_iteration=model.booster_.best_iteration))
    if native.classifies:
        native.classes_ = model.classes_
    return native


def _task_of(model: Any) -> tuple[str, list[str]]:
    """Return what the model answers: probabilities wherever it has them, never labels."""
    if hasattr(model, "predict_proba") and hasattr(model, "classes_"):
        labels = [_text(label) for label in model.classes_]
        if len(labels) < 2:
            raise MlflowUnsupported(f"the model knows {len(labels)} class, so there is nothing to tell apart")
        return ("binary" if len(labels) == 2 else "multiclass"), labels
    if hasattr(model, "classes_") or getattr(model, "_estimator_type", None) == "classifier":
        raise MlflowUnsupported(
            f"the model is a {type(model).__name__}, which answers with classes and has no predict_proba, and a "
            "decision needs the probability of each; wrap it in sklearn.calibration.CalibratedClassifierCV"
        )
    if not hasattr(model, "predict"):
        raise MlflowUnsupported(f"the model is a {type(model).__name__}, which has neither predict_proba nor predict")
    return "regression", []


def _text(label: Any) -> str:
    plain = label.item() if hasattr(label, "item") else label
    return str(plain) if isinstance(plain, str) else category_text(plain) or f"{plain:g}"


def _inputs_of(model: Any, named: Sequence[str] | None) -> tuple[list[str] | None, int | None]:
    """Return names and number of the columns, by the signature, else by the model itself."""
    own = getattr(model, "feature_names_in_", None)
    if own is None and isinstance(model, LightGBMModel):
        own = model.booster.feature_name()
    names = [str(name) for name in named or (own if own is not None else ())]
    width = getattr(model, "n_features_in_", None)
    if width is None and isinstance(model, LightGBMModel):
        width = model.booster.num_feature()
    return (names or None), (int(width) if width is not None else len(names) or None)


def _places(labels: Sequence[str], classes: Sequence[str] | None) -> list[int] | None:
    """Return the columns in the project's order; None where they stand in it."""
    if not labels or classes is None or list(labels) == list(classes):
        return None
    if sorted(labels) == sorted(classes):
        return [list(labels).index(name) for name in classes]
    indices = [str(place) for place in range(len(classes))]
    if list(labels) in (indices, ["false", "true"]):
        return None
    raise MlflowUnsupported(
        f"the model tells apart {', '.join(labels[:10])}, and the project {', '.join(classes[:10])}; see data.label "
        "and data.positive in trueup.toml, or take the model that was trained for it",
        model=list(labels),
        project=list(classes),
    )


def _error(error: Exception) -> dict[str, Any]:
    if isinstance(error, TrueupError):
        return {"code": error.code, "message": error.message, "facts": error.facts}
    message = f"the model cannot be opened here: {type(error).__name__}"
    if isinstance(error, ModuleNotFoundError):
        message = f'the model needs the module "{error.name}", which is not installed here; install it and try again'
    elif isinstance(error, AttributeError | TypeError | KeyError | io.UnsupportedOperation):
        message += "; it was probably made with other versions of its libraries (see its requirements.txt)"
    return {"code": ModelFailed.code, "message": message, "facts": {}}


if __name__ == "__main__":
    main()
