"""What is in a model that was made elsewhere? Asked of a process that confines itself before it opens the file."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from trueup.bundle.answers import error_from, read_answer
from trueup.bundle.asking import Asked, ask_once
from trueup.bundle.errors import ModelFailed, NoSandbox, PickleRefused
from trueup.bundle.mlflow_reading import MlflowUnsupported
from trueup.bundle.sandbox import Limits
from trueup.bundle.scoring import child_environment
from trueup.bundle.wire import MOST_ANSWER_BYTES

_LIMITS = Limits()
_KINDS = (ModelFailed, PickleRefused, NoSandbox, MlflowUnsupported)


@dataclass(frozen=True)
class ModelFacts:
    """What the process tells about a model."""

    kind: str
    """Its class, such as ``Pipeline``."""
    task: Literal["binary", "multiclass", "regression"]
    labels: tuple[str, ...]
    """Its classes as text, in the order of its answer; empty for regression."""
    names: tuple[str, ...] | None
    """The columns it was fitted on; None where it does not say."""
    width: int | None
    """Their number; None where it does not say."""
    categories: Mapping[str, tuple[str, ...]]
    """Texts that its encoders know, by column."""
    typed: tuple[str, ...]
    """Columns that it takes as pandas categories, in the order of `categories`."""


@dataclass(frozen=True, kw_only=True)
class Examined(ModelFacts):
    """A model's facts, and the pickle that a bundle carries."""

    content: bytes
    native: bool
    """Whether it was opened without any pickle."""


def examine(
    content: bytes,
    form: str,
    *,
    names: Sequence[str] | None,
    classes: Sequence[str] | None,
    code: Mapping[str, bytes],
    limits: Limits = _LIMITS,
) -> Examined:
    """Return what a model file holds.

    Parameters
    ----------
    content : bytes
        The file.
    form : str
        pickle, skops, lightgbm or onnx.
    names : sequence of str or None
        Its columns, where the signature says them.
    classes : sequence of str or None
        The project's classes, (negative, positive) for two: its answer is put in this order.
    code : mapping
        Python files that the model refers to, by path.
    limits : Limits
        What opening it may use.

    Raises
    ------
    PickleRefused
        It refers to a name that no model needs; nothing of it was run.
    MlflowUnsupported
        Its answer is no probability and no number, or its classes are not the project's.
    ModelFailed
        It cannot be opened here: a library is missing, or is of another version.
    """
    with tempfile.TemporaryDirectory(prefix="trueup-model-") as folder:
        root = Path(folder)
        (root / "scratch").mkdir()
        for path, source in code.items():
            (root / "code" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "code" / path).write_bytes(source)
        head = {
            "form": form,
            "names": names,
            "classes": classes,
            "code": str(root / "code") if code else None,
            "scratch": str(root / "scratch"),
            "limits": asdict(limits),
        }
        facts, shipped = _asked(head, content)
    told = read_answer(facts, ModelFacts)
    return Examined(content=shipped, native=form in ("lightgbm", "onnx"), **vars(told))


def _asked(head: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    seconds = head["limits"]["seconds"]
    asked = ask_once(
        "trueup.bundle.examining_process",
        head,
        content,
        environment=child_environment() | {"TMPDIR": head["scratch"]},
        seconds=seconds,
        most_bytes=max(MOST_ANSWER_BYTES, 2 * len(content)),  # the model comes back, written anew
    )
    if asked.answer is None:
        raise ModelFailed(f"the process that opened the model {_without(asked, seconds)}", exit_code=asked.code)
    if "error" in asked.answer[0]:
        raise error_from(asked.answer[0]["error"], _KINDS)
    return asked.answer


def _without(asked: Asked, seconds: float) -> str:
    """Return how a process ended that gave no answer."""
    if asked.late:
        return f"gave no answer within {seconds:,g} s"
    hint = "; signal 9 often means that the machine ran out of memory" if asked.code == -signal.SIGKILL else ""
    return f"gave no answer and ended with {asked.how_it_ended}{hint}"
