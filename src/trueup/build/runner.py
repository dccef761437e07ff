"""Where does a model live while it is built? In a separate process; this is the caller's side.

The caller never unpickles and never imports scikit-learn. Fits are kept in the scratch folder under the digest of
everything that makes them, so that a repeated fit is free, also for other runners that share the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from trueup.build.errors import NoTrainingRows, RunnerDied, ScratchUnusable, error_from
from trueup.build.recipe import FittedModel, Recipe, TrainingRows
from trueup.build.wire import receive, send
from trueup.bundle.features import parse_features
from trueup.bundle.scoring import child_environment
from trueup.kernel.digests import digest_of

Progress = Callable[[int, int, str], None]
_GRACE_SECONDS = 5.0


class ModelRunner:
    """A separate process that fits models and answers with scores.

    Parameters
    ----------
    project_folder : Path
        Where the project's `pipeline.py` and what it imports are.
    scratch : Path
        Made when missing. Holds the fitted models and, while the runner is open, the arrays that cross the border.
        Several runners, also of several processes, may share it.
    threads : int
        Threads of the numerical libraries, 1 or more. Two runs with the same number give the same bytes.
    memory_limit_mb : int, optional
        Most address space of the separate process, in MB; None sets no limit.

    Notes
    -----
    The process starts with the first request it is needed for, and ends with the runner, with the caller's process
    (even when that is killed), or on Ctrl-C. After `RunnerDied` the next request starts a new one. A runner belongs to
    one thread.
    """

    def __init__(
        self, project_folder: Path, scratch: Path, *, threads: int = 1, memory_limit_mb: int | None = None
    ) -> None:
        self._project = Path(project_folder).resolve()
        self._scratch = Path(scratch).resolve()
        self._threads = threads
        self._memory_limit_mb = memory_limit_mb
        self._child: subprocess.Popen[bytes] | None = None
        self._desk: Path | None = None
        self._lock: IO[bytes] | None = None
        self._file_digests: dict[tuple[str, int, int], str] = {}
        self._code_digest = code_digest(self._project)

    def __enter__(self) -> Self:
        self._open_desk()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def code_digest(self) -> str:
        """Return the digest of the project's Python files when this runner was made."""
        return self._code_digest

    @property
    def process_id(self) -> int | None:
        """Return the id of the separate process, None while there is none."""
        return self._child.pid if self._child else None

    def fit(self, recipe: Recipe, rows: TrainingRows) -> FittedModel:
        """Return the model that `recipe` gives on `rows`.

        Raises
        ------
        BuildError
            `NoTrainingRows`, `LabelConstant`, `ColumnMissing`, `PipelineFailed`, `RunnerDied` and the like.
        """
        if len(rows.rows) == 0:
            raise NoTrainingRows(
                "There is no row with a final outcome to learn from; start later, or look at label_final_at",
                rows=0,
            )
        digest = self._digest_of_fit(recipe, rows)
        folder = self._scratch / "models" / f"{digest[:32]}-{self._environment()}"
        if not folder.exists():
            self._fit_into(folder, recipe, rows)
        facts = json.loads((folder / "facts.json").read_text())
        return FittedModel(
            folder, recipe, digest, facts["seconds"], tuple(facts["notes"]), parse_features(facts["features"])
        )

    def predict(self, model: FittedModel, features_path: Path, first: int, last: int) -> NDArray[np.float64]:
        """Return scores of the rows at positions ``[first, last)`` of a features file.

        Returns
        -------
        ndarray of float64
            Probability of the positive outcome, shape (n,), for binary; of each class, shape (n, n_classes), for
            several classes; the number, shape (n,), for regression.
        """
        return self._scores(model, features_path, {"first": int(first), "last": int(last)})

    def predict_rows(self, model: FittedModel, features_path: Path, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return scores of the rows at any positions of a features file, in their order; see `predict`."""
        path = self._save("rows", rows)
        try:
            return self._scores(model, features_path, {"rows": str(path)})
        finally:
            path.unlink(missing_ok=True)

    def export(self, model: FittedModel, into: Path) -> Path:
        """Write the estimator alone, as a bundle carries it, to the file `into`."""
        self.ask("export", model=str(model.path), into=str(into))
        return into

    def ask(self, operation: str, progress: Progress | None = None, /, **payload: Any) -> dict[str, Any]:
        """Return the answer to any operation of the separate process; `payload` holds JSON values only.

        Raises
        ------
        BuildError
            What the operation raised, or `RunnerDied` where the process ended without an answer.
        """
        return self._answer(self._started(), operation, progress, payload)

    def _answer(
        self, child: subprocess.Popen[bytes], operation: str, progress: Progress | None, payload: dict[str, Any]
    ) -> dict[str, Any]:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            send(child.stdin, {"op": operation, **payload})
            answer = receive(child.stdout)
            while answer is not None and "progress" in answer:
                if progress:
                    progress(*answer["progress"])
                answer = receive(child.stdout)
        except BrokenPipeError:
            answer = None
        except BaseException:
            self._end_child(grace=0.0)
            raise
        if answer is None:
            raise self._died(operation)
        if "error" in answer:
            error = answer["error"]
            raise error_from(error["code"], error["message"], error["facts"])
        result: dict[str, Any] = answer["ok"]
        return result

    def save_array(self, name: str, array: NDArray[Any]) -> Path:
        """Write an array where the separate process can read it; it lives until the runner closes."""
        return self._save(name, array)

    def close(self) -> None:
        """End the process and remove everything but the fitted models. May be called twice."""
        self._end_child(grace=_GRACE_SECONDS)
        if self._desk:
            shutil.rmtree(self._desk, ignore_errors=True)
            self._desk = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _fit_into(self, folder: Path, recipe: Recipe, rows: TrainingRows) -> None:
        arrays = {"rows": self._save("rows", rows.rows), "outcome": self._save("outcome", rows.outcome)}
        if rows.weight is not None:
            arrays["weight"] = self._save("weight", rows.weight)
        made = Path(tempfile.mkdtemp(prefix="model-", dir=self._open_desk()))
        try:
            self.ask(
                "fit",
                recipe=recipe.as_json(),
                features_path=str(rows.features_path),
                into=str(made),
                **{name: str(path) for name, path in arrays.items()},
            )
            _publish(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            for path in arrays.values():
                path.unlink(missing_ok=True)

    def _scores(self, model: FittedModel, features_path: Path, which: dict[str, Any]) -> NDArray[np.float64]:
        out = self._open_desk() / "scores.npy"
        self.ask("predict", model=str(model.path), features_path=str(features_path), out=str(out), **which)
        scores: NDArray[np.float64] = np.load(out)
        return scores

    def _save(self, name: str, array: NDArray[Any]) -> Path:
        path = self._open_desk() / f"{name}.npy"
        try:
            np.save(path, array, allow_pickle=False)
        except OSError as cause:
            raise _unusable(self._scratch, cause) from cause
        return path

    def _digest_of_fit(self, recipe: Recipe, rows: TrainingRows) -> str:
        return digest_of(
            {
                "recipe": recipe.digest,
                "code": self._code_digest if recipe.kind == "pipeline" else None,
                "features": self._digest_of_file(rows.features_path),
                "rows": _digest_of_array(rows.rows),
                "outcome": _digest_of_array(rows.outcome),
                "weight": None if rows.weight is None else _digest_of_array(rows.weight),
            }
        )

    def _digest_of_file(self, path: Path) -> str:
        seen = path.stat()
        key = (str(path), seen.st_size, seen.st_mtime_ns)
        if key not in self._file_digests:
            with path.open("rb") as file:
                self._file_digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._file_digests[key]

    def _environment(self) -> str:
        """Name what may change the bytes of a fit without changing its recipe, so that a scratch may outlive it."""
        libraries = ("numpy", "pandas", "scikit-learn", "lightgbm", "trueup")
        versions = [importlib.metadata.version(name) for name in libraries]
        return digest_of([platform.python_version(), self._threads, *versions])[:8]

    def _open_desk(self) -> Path:
        """Return this runner's own folder; on first use remove those of runners that were killed."""
        if self._desk is None:
            desks = self._scratch / "runners"
            try:
                desks.mkdir(parents=True, exist_ok=True)
                (self._scratch / "models").mkdir(exist_ok=True)
                for desk in desks.iterdir():
                    _remove_if_left(desk)
                self._desk = Path(tempfile.mkdtemp(dir=desks))
                self._lock = (self._desk / "lock").open("wb")
            except OSError as cause:
                raise _unusable(self._scratch, cause) from cause
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self._desk

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end_child(grace=0.0)
        desk = self._open_desk()
        with (desk / "child.log").open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "trueup.build.runner_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=child_environment(threads=self._threads),
                cwd=desk,
                start_new_session=True,
            )
        hello = {
            "project": str(self._project),
            "scratch": str(self._scratch),
            "memory_limit_mb": self._memory_limit_mb,
        }
        self._answer(self._child, "hello", None, hello)
        return self._child

    def _died(self, operation: str) -> RunnerDied:
        child = self._child
        self._end_child(grace=_GRACE_SECONDS)
        code = child.returncode if child else None
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        hint = "; signal 9 often means that the machine ran out of memory" if code == -9 else ""
        return RunnerDied(
            f'The process that holds the models {how} during "{operation}"{hint}. Nothing half-made was kept: run it '
            "again, with fewer rows or more memory where it happens again, and look for native code in pipeline.py.",
            operation=operation,
            exit_code=code,
        )

    def _end_child(self, *, grace: float) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for stream in (child.stdin, child.stdout):
            if stream:
                _close_quietly(stream)
        try:
            child.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def code_digest(project_folder: Path) -> str:
    """Return the digest of the Python files in a project folder, tests and hidden folders left out."""
    paths = [
        path
        for path in sorted(project_folder.rglob("*.py"))
        if not any(
            part.startswith(".") or part in {"tests", "build", "__pycache__"}
            for part in path.relative_to(project_folder).parts[:-1]
        )
    ]
    return digest_of(
        [[path.relative_to(project_folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths]
    )


def _unusable(scratch: Path, cause: OSError) -> ScratchUnusable:
    return ScratchUnusable(
        f"The scratch folder {scratch} cannot be used: {cause.strerror or 'it is full'}; free some space "
        "there, or make it writable",
        folder=str(scratch),
        errno=cause.errno,
    )


def _digest_of_array(array: NDArray[Any]) -> str:
    content = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def _publish(made: Path, folder: Path) -> None:
    """Let a finished model appear at once; another runner's equal one, there first, stays."""
    try:
        made.rename(folder)
    except OSError:
        if not (folder / "facts.json").exists():
            raise


def _remove_if_left(desk: Path) -> None:
    try:
        with (desk / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError:
        # without a lock file: just being made by another runner, or an empty rest
        return
    shutil.rmtree(desk, ignore_errors=True)


def _close_quietly(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        # what was not read when the process died is of no use
        return
