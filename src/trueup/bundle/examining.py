"""What is in a model that was made elsewhere? Asked of a process that confines itself before it opens the file."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trueup.bundle.errors import BundleError, ModelFailed, NoSandbox, PickleRefused
from trueup.bundle.mlflow_reading import MlflowUnsupported
from trueup.bundle.sandbox import Limits
from trueup.bundle.scoring import child_environment
from trueup.bundle.wire import at_most, receive, send

_LIMITS = Limits()
_KINDS = (ModelFailed, PickleRefused, NoSandbox, MlflowUnsupported)


@dataclass(frozen=True)
class Examined:
    """A model's facts, and the pickle that a bundle carries."""

    content: bytes
    kind: str
    """Its class, such as ``Pipeline``."""
    task: str
    """binary, multiclass or regression."""
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
        told, shipped = _asked(head, content)
    return Examined(
        content=shipped,
        kind=told["kind"],
        task=told["task"],
        labels=tuple(told["labels"]),
        names=None if told["names"] is None else tuple(told["names"]),
        width=told["width"],
        categories={name: tuple(texts) for name, texts in told["categories"].items()},
        typed=tuple(told["typed"]),
        native=form in ("lightgbm", "onnx"),
    )


def _asked(head: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            # -P: nothing is imported from the current folder
            [sys.executable, "-P", "-m", "trueup.bundle.examining_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=child_environment() | {"TMPDIR": head["scratch"]},
            start_new_session=True,
        )
        with child:
            answer = _exchanged(child, head, content)
    if answer is None:
        late = child.returncode == -signal.SIGKILL
        hint = f" (killed: out of memory, or no answer within {head['limits']['seconds']:,g} s)" if late else ""
        raise ModelFailed(
            f"the process that opened the model ended with exit code {child.returncode}{hint}",
            exit_code=child.returncode,
        )
    if "error" in answer[0]:
        raise _error_from(answer[0]["error"])
    return answer


def _exchanged(
    child: subprocess.Popen[bytes], head: dict[str, Any], content: bytes
) -> tuple[dict[str, Any], bytes] | None:
    if child.stdin is None or child.stdout is None:
        return None
    try:
        with at_most(head["limits"]["seconds"], child.kill):
            send(child.stdin, head, content)
            return receive(child.stdout)
    except BrokenPipeError:
        return None
    except BaseException:
        child.kill()
        raise


def _error_from(error: Mapping[str, Any]) -> BundleError:
    kind = next((kind for kind in _KINDS if kind.code == error["code"]), BundleError)
    return kind(error["message"], **error["facts"])
