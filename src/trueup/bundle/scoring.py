"""How are rows scored without opening the model here? By a process of its own; this is the caller's side."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.answers import error_from, not_ours, read_answer
from trueup.bundle.candidates import Candidate, Offer
from trueup.bundle.errors import (
    BadManifest,
    FeatureMissing,
    FilesDiffer,
    LibraryMissing,
    ModelFailed,
    NoSandbox,
    PickleRefused,
    RowBreaksSchema,
)
from trueup.bundle.features import FeatureSpec, features_document
from trueup.bundle.golden import GoldenRow, Replay, outputs_of
from trueup.bundle.layout import CODE_FOLDER, MODEL_FOLDER
from trueup.bundle.offering import candidate_of, offers_from, trial_message
from trueup.bundle.proof import Cost, replay_from
from trueup.bundle.sandbox import Limits, SandboxLevel
from trueup.bundle.wire import MOST_ANSWER_BYTES, at_most, receive, send

if TYPE_CHECKING:
    import pyarrow as pa

_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
_ALONE = {"PYTHONHASHSEED": "0", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""No chance, and no thread that was there before the process confined itself: the sandbox holds threads one by one."""
_GRACE_SECONDS = 5.0
_LIMITS = Limits()
_KINDS = (
    *(RowBreaksSchema, FeatureMissing, FilesDiffer, ModelFailed, PickleRefused, NoSandbox),
    *(BadManifest, LibraryMissing),
)


def child_environment(*, threads: int = 1) -> dict[str, str]:
    """Return the variables that a process which holds a model is given: its threads, no secrets, no chance."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | dict.fromkeys(_THREADS, str(threads)) | _ALONE


@dataclass(frozen=True)
class _ToldScores:
    shape: tuple[int, ...]
    refused: tuple[int, ...] = ()


class ModelProcess:
    """A separate process that holds the model of one bundle folder.

    Parameters
    ----------
    folder : Path
        A verified bundle, or one that is being packaged from a model this installation just trained.
    files : mapping
        Path and SHA-256 of the bundle's files; the process compares those it reads.
    features : sequence of FeatureSpec
        Inputs of the model, in order.
    task : str
        binary, multiclass or regression.
    n_classes : int
        Number of classes; not used for regression.
    foreign : bool
        The model comes from strangers: neither signed by a trusted key nor made by this installation. It is then opened
        only where the process could confine itself.
    limits : Limits
        Memory and time of the process.

    Attributes
    ----------
    sandbox : SandboxLevel
        How far the process could confine itself before it opened the model.

    Notes
    -----
    One thread of numerical libraries, so that sums have one order and the same rows give the same bits. The process
    ends with `close`, with the caller's process (even when that is killed), or when it dies; it is not started again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        files: Mapping[str, str],
        features: Sequence[FeatureSpec],
        task: str,
        n_classes: int,
        foreign: bool = False,
        limits: Limits = _LIMITS,
    ) -> None:
        self._limits = limits
        self._features = tuple(features)
        self._late = self._stayed = False
        self._columns = (n_classes,) if task == "multiclass" else ()
        self._scratch = tempfile.mkdtemp(prefix="trueup-model-")
        environment = child_environment() | {"TMPDIR": self._scratch}
        with tempfile.TemporaryFile() as log:
            self._child = subprocess.Popen(
                # -P: nothing is imported from the current folder
                [sys.executable, "-P", "-m", "trueup.bundle.model_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        opened = [path for path in files if path.startswith((f"{MODEL_FOLDER}/", f"{CODE_FOLDER}/"))]
        head = {
            "op": "open",
            "folder": str(folder.resolve()),
            "files": {path: files[path] for path in opened},
            "features": features_document(features),
            "task": task,
            "n_classes": n_classes,
            "foreign": foreign,
            "scratch": self._scratch,
            "limits": asdict(limits),
        }
        try:
            self.sandbox = read_answer(self._ask(head)[0].get("sandbox"), SandboxLevel)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        """Return whether the process is dead, however it died. May be asked by any thread."""
        return self._child.poll() is not None

    def answer_within(self, seconds: float) -> None:
        """End the process where an answer takes longer from now on."""
        self._limits = replace(self._limits, seconds=seconds)

    def end(self) -> None:
        """Kill the process; who waits for its answer is told. May be called by any thread."""
        self._child.kill()

    def score_requests(self, requests: Sequence[str]) -> list[tuple[float, ...] | None]:
        """Return one output for each request (a JSON object on one line); None where the model refuses the row.

        Raises
        ------
        RowBreaksSchema
            When a request lacks a feature or has a value of the wrong type.
        """
        lines = "\n".join(requests).encode()
        head, body = self._ask({"op": "requests"}, lines)
        told = read_answer(head, _ToldScores)
        if not all(0 <= place < len(requests) for place in told.refused):
            raise not_ours("refusals of rows that it was not asked for")
        return outputs_of(self._scores(told, body, rows=len(requests)), told.refused)

    def score_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return scores, shape (n,), for several classes (n, n_classes).

        Raises
        ------
        FeatureMissing
            When `table` lacks a feature.
        ModelFailed
            When the model raises.
        """
        import pyarrow as pa

        if table.num_rows == 0:
            return np.empty(self._shape(0))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        head, body = self._ask({"op": "table"}, sink.getvalue().to_pybytes())
        return self._scores(read_answer(head, _ToldScores), body, rows=table.num_rows)

    def make_offers(self, requests: Sequence[str] = ()) -> tuple[Offer, ...]:
        """Return every fast way of answering that the process can make of its model, none of them proven.

        Parameters
        ----------
        requests : sequence of str
            On which parts are tried that stay in Python; without any there is no hybrid.
        """
        return offers_from(*self._ask({"op": "offers"}, "\n".join(requests).encode()))

    def try_offer(self, offer: Offer, rows: Sequence[GoldenRow], *, cutoff: float | None) -> Candidate:
        """Return what the process found about an offer that needs its model."""
        try:
            answer, _ = self._ask(*trial_message(offer, rows, features=self._features, cutoff=cutoff))
        except ModelFailed as error:
            return Candidate(offer, None, error.message)
        return candidate_of(offer, answer)

    def answer_by(
        self, offer: Offer, rows: Sequence[GoldenRow], *, cutoff: float | None, tolerance: float
    ) -> tuple[Replay, int]:
        """Let the process answer by an offer from now on; return how that differs from the golden rows.

        Returns
        -------
        replay : Replay
        apart : int
            Rows that got other bits alone than among many.

        Raises
        ------
        BadManifest
            When the offer's plan does not fit the model.
        """
        head, body = trial_message(offer, rows, features=self._features, cutoff=cutoff, tolerance=tolerance)
        answer, _ = self._ask({**head, "op": "answer by"}, body)
        return replay_from(answer.get("replay")), read_answer(answer.get("apart"), int)

    def measure(self, requests: Sequence[str]) -> Cost:
        """Return what the original takes there for one request at a time."""
        return read_answer(self._ask({"op": "measure"}, "\n".join(requests).encode())[0], Cost)

    def close(self) -> None:
        """End the process. May be called twice."""
        for stream in (self._child.stdin, self._child.stdout):
            if stream:
                _close_quietly(stream)
        try:
            self._child.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._stayed = True
            self._child.kill()
            self._child.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _ask(self, head: dict[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise ModelFailed("the model's process is closed; open the bundle again")
        try:
            with at_most(self._limits.seconds, self._end_late):
                send(stdin, head, body)
                answer = receive(stdout, most_bytes=MOST_ANSWER_BYTES)
        except BrokenPipeError:
            answer = None
        except BaseException:
            self._child.kill()  # interrupted in the middle of a message: the next answer would be the wrong one
            raise
        if answer is None:
            raise self._died()
        if "error" in answer[0]:
            raise error_from(answer[0]["error"], _KINDS)
        return answer

    def _shape(self, rows: int) -> tuple[int, ...]:
        return (rows, *self._columns)

    def _scores(self, told: _ToldScores, body: bytes, *, rows: int) -> NDArray[np.float64]:
        shape = self._shape(rows)
        if told.shape != shape or len(body) != 8 * math.prod(shape):
            raise not_ours("scores for another number of rows or classes")
        return np.frombuffer(body, dtype="<f8").reshape(shape).astype(np.float64)

    def _end_late(self) -> None:
        self._late = True
        self._child.kill()

    def _died(self) -> ModelFailed:
        self.close()
        code = self._child.returncode
        if self._stayed:
            return ModelFailed("the model's process gave no answer that can be read, and was ended")
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "; signal 9 often means that the machine ran out of memory" if code == -9 else ""
        if code == -signal.SIGXCPU:
            hint = f"; it used more than the {self._limits.cpu_seconds:,} s of processor time that one request may"
        if self._late:
            hint = f"; it gave no answer within {self._limits.seconds:,g} s"
        return ModelFailed(f"the model's process {how}{hint}", exit_code=code)


def _close_quietly(stream: Any) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        # what was not read when the process died is of no use
        return
