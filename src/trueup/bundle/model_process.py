"""What happens in the process that holds a bundle's model: confine itself, check its bytes, unpickle, score.

Started by `scoring.ModelProcess`, only for folders that were verified or are being packaged. Every file is read once:
the bytes that are unpickled are the bytes whose digest was compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import warnings
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trueup.bundle.class_scores import model_scores
from trueup.bundle.compiling.offers import make_offers
from trueup.bundle.compiling.python_stage import open_python
from trueup.bundle.errors import FilesDiffer, ModelFailed
from trueup.bundle.features import FeatureSpec, parse_features
from trueup.bundle.frames import prepare_frame, prepare_matrix, table_of_rows
from trueup.bundle.golden import parse_golden
from trueup.bundle.layout import CODE_FOLDER, MODEL_FILE
from trueup.bundle.offering import offers_message, trial_parts
from trueup.bundle.pickles import OwnCode, load_pickle
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import Opener, Predictor
from trueup.bundle.proof import median_us, peak_memory_mb, replay_document, replay_predictor
from trueup.bundle.sandbox import Limits, allow_cpu_time, enter_sandbox, refuse_strangers
from trueup.bundle.trial import try_offer
from trueup.bundle.wire import receive, send
from trueup.kernel.errors import TrueupError

if TYPE_CHECKING:
    from typing_extensions import Buffer

Scores = NDArray[np.float64]


class Scorer:
    """A model with everything that turns rows into its scores."""

    def __init__(self, model: Any, features: tuple[FeatureSpec, ...], *, task: str, n_classes: int) -> None:
        self._model = model
        self._features = features
        self._task = task
        self._n_classes = n_classes
        self._predictor: Predictor | None = None

    def answer_by(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer by a predictor that keeps parts in Python from now on; tell how it differs from the golden rows."""
        golden, files = trial_parts(head, body)
        predictor = open_compiled(head["plan"], files, features=self._features, more=self._openers)
        rows = parse_golden(golden)
        replay, apart = replay_predictor(predictor, rows, cutoff=head["cutoff"], tolerance=head["tolerance"])
        self._predictor = predictor
        return {"replay": replay_document(replay), "apart": apart}, b""

    def try_offer(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer with the proof of a predictor that keeps parts in Python, or why there is none."""
        return try_offer(head, body, more=self._openers), b""

    def score_table(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer with one score for each row of a table (Arrow stream)."""
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        if self._predictor is not None:
            return _answer(self._narrow(self._predictor.score_rows(prepare_matrix(table, self._features))))
        return _answer(self._score(table))

    def score_requests(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer with one score for each JSON line, and the places of rows that the model refuses."""
        if self._predictor is not None:
            rows = self._predictor.decoder.decode_many(_json_list(body))
            scores = self._predictor.score_rows(rows)
            missing = np.flatnonzero(np.isnan(scores).any(axis=1))
            return _answer(self._narrow(scores), refused=missing.tolist())
        parsed = [json.loads(line) for line in body.decode().split("\n") if line]
        table = table_of_rows(parsed, self._features)
        scores = np.full((len(parsed), self._width), np.nan)
        refused: list[int] = []
        self._score_or_refuse(table, 0, len(parsed), scores, refused)
        return _answer(self._narrow(scores), refused=refused)

    def make_offers(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer with every fast way of answering that can be made of the model, tried on requests (JSON lines)."""
        requests = [line for line in body.split(b"\n") if line]
        offers = make_offers(self._model, self._features, task=self._task, n_classes=self._n_classes, requests=requests)
        return offers_message(offers)

    def measure(self, body: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer with how long the model itself takes for one request (a JSON line)."""
        ready = time.process_time()
        microseconds = median_us(self.score_or_none, body.split(b"\n"))
        return {"us_per_row": microseconds, "memory_mb": peak_memory_mb(), "start_ms": ready * 1e3}, b""

    def score_or_none(self, request: bytes) -> Scores | None:
        """Return the score of one request, None where the model refuses it."""
        try:
            return self._score(table_of_rows([json.loads(request)], self._features))
        except TrueupError:
            raise
        except Exception:  # noqa: BLE001 - the model is foreign code; a refusal takes its time too
            return None

    @property
    def _width(self) -> int:
        return self._n_classes if self._task == "multiclass" else 1

    def _score_or_refuse(self, table: pa.Table, first: int, last: int, scores: Scores, refused: list[int]) -> None:
        """Score rows ``[first, last)``; halve them where the model raises. The same rows give the same halves."""
        if first == last:
            return
        try:
            scores[first:last] = self._score(table.slice(first, last - first)).reshape(last - first, -1)
        except TrueupError:
            raise
        except Exception:  # noqa: BLE001 - the model is foreign code; what it refuses is recorded
            if last - first == 1:
                refused.append(first)
                return
            middle = (first + last) // 2
            self._score_or_refuse(table, first, middle, scores, refused)
            self._score_or_refuse(table, middle, last, scores, refused)

    def _score(self, table: pa.Table) -> Scores:
        if table.num_rows == 0:
            return np.empty((0, self._width))[:, 0] if self._width == 1 else np.empty((0, self._width))
        frame = prepare_frame(table, self._features)
        return self._checked(model_scores(self._model, frame, task=self._task, n_classes=self._n_classes))

    def _checked(self, scores: Scores) -> Scores:
        if scores.shape[1] != self._width:
            raise ModelFailed(
                f"the model gives {scores.shape[1]} numbers for a row, and {self._width} are expected",
                seen=scores.shape[1],
            )
        return self._narrow(scores)

    def _narrow(self, scores: Scores) -> Scores:
        return scores[:, 0] if self._width == 1 else scores

    @property
    def _openers(self) -> dict[str, Opener]:
        return {"python": open_python(self._model)}


def main() -> None:
    """Serve requests on stdin until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the model prints must not be read as an answer
    warnings.simplefilter("ignore")
    scorer: Scorer | None = None
    limits = Limits()
    while (message := receive(sys.stdin.buffer)) is not None:
        head, body = message
        try:
            if head["op"] == "open":
                limits = Limits(**head["limits"])
                level = enter_sandbox(scratch=Path(head["scratch"]), limits=limits)
                allow_cpu_time(limits.cpu_seconds)
                if head["foreign"]:
                    refuse_strangers(level)
                scorer = _open(head)
                send(answers, {"sandbox": level.facts()})
            else:
                allow_cpu_time(limits.cpu_seconds)
                send(answers, *_answered(_needed(scorer), head, body))
        except Exception as error:  # noqa: BLE001 - process boundary: every failure is told to the caller
            send(answers, {"error": _error(error)})


def _needed(scorer: Scorer | None) -> Scorer:
    if scorer is None:
        raise ModelFailed("the model's process was asked for scores before it had a model")
    return scorer


def _answered(scorer: Scorer, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    match head["op"]:
        case "table":
            return scorer.score_table(body)
        case "requests":
            return scorer.score_requests(body)
        case "offers":
            return scorer.make_offers(body)
        case "prove":
            return scorer.try_offer(head, body)
        case "answer by":
            return scorer.answer_by(head, body)
        case "measure":
            return scorer.measure(body)
    raise ModelFailed(f"the model's process was asked for {head['op']!r}, which it cannot do")


def _open(head: dict[str, Any]) -> Scorer:
    folder = Path(head["folder"])
    contents = {path: _read_checked(folder, path, digest) for path, digest in head["files"].items()}
    code = {
        path.removeprefix(f"{CODE_FOLDER}/"): content
        for path, content in contents.items()
        if path.startswith(f"{CODE_FOLDER}/")
    }
    if code:
        _import_from(folder / CODE_FOLDER)
    own = OwnCode.of(code, folder=folder / CODE_FOLDER)
    model = load_pickle(contents[MODEL_FILE], own=own)
    _stay_in_one_process()
    return Scorer(model, parse_features(head["features"]), task=head["task"], n_classes=head["n_classes"])


def _stay_in_one_process() -> None:
    """Let estimators with ``n_jobs`` use threads: the process may start no other."""
    if "joblib" in sys.modules:
        import joblib  # type: ignore[import-untyped]  # it has no types

        joblib.parallel_config(backend="threading")


class _LeavesNothing(SourceFileLoader):
    """Imports source files without writing bytecode beside them: a bundle must stay as it was signed."""

    def set_data(self, path: str, data: Buffer, *, _mode: int = 0o666) -> None:
        """Keep no bytecode."""


def _import_from(code: Path) -> None:
    """Let modules be imported from a bundle's code, before those installed here."""

    def finder(path: str) -> FileFinder:
        if not Path(path).is_relative_to(code):
            raise ImportError(path)
        return FileFinder(path, (_LeavesNothing, [".py"]))

    sys.path_hooks.insert(0, finder)
    sys.path.insert(0, str(code))


def _read_checked(folder: Path, path: str, digest: str) -> bytes:
    content = (folder / path).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise FilesDiffer(f"{path} of bundle {folder.name[:12]} changed after it was verified", path=path)
    return content


def _json_list(lines: bytes) -> bytes:
    return b"[" + b",".join(line for line in lines.split(b"\n") if line) + b"]"


def _answer(scores: Scores, **facts: Any) -> tuple[dict[str, Any], bytes]:
    return {"shape": list(scores.shape), **facts}, np.ascontiguousarray(scores, dtype="<f8").tobytes()


def _error(error: Exception) -> dict[str, Any]:
    if isinstance(error, TrueupError):
        return {"code": error.code, "message": error.message, "facts": error.facts}
    message = f"the model raised {type(error).__name__}"
    if isinstance(error, ModuleNotFoundError):
        message = f'the model needs the module "{error.name}", which is not installed here'
    return {"code": ModelFailed.code, "message": message, "facts": {}}


if __name__ == "__main__":
    main()
