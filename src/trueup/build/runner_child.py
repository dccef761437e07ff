"""What does the separate process do? It answers requests of one `ModelRunner` until that one ends.

Everything slow, native or foreign is loaded here: scikit-learn, LightGBM, pickles, the project's own code.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import resource
import sys
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from trueup.build.errors import BuildError, ModelUnreadable, OutOfMemory, ScratchUnusable
from trueup.build.fitting import Scorer, fit_scorer, read_columns, scores_of
from trueup.build.frames import FeatureFiles
from trueup.build.recipe import recipe_from_json
from trueup.build.user_code import ProjectCode
from trueup.build.wire import receive, send
from trueup.bundle.features import features_document

Request = dict[str, Any]
_MODELS_KEPT = 16


class Child:
    """The state of the separate process: decoded features and the models used last."""

    def __init__(self, hello: Request, report: Callable[[int, int, str], None]) -> None:
        self._project = ProjectCode(Path(hello["project"]), Path(hello["scratch"]))
        self._report = report
        self._files = FeatureFiles()
        self._models: OrderedDict[str, Scorer] = OrderedDict()

    def answer(self, request: Request) -> dict[str, Any]:
        """Return the answer to one request."""
        operations: dict[str, Callable[[Request], dict[str, Any]]] = {
            "fit": self._fit,
            "predict": self._predict,
            "leakage": self._leakage,
            "export": self._export,
        }
        return operations[request["op"]](request)

    def _fit(self, request: Request) -> dict[str, Any]:
        recipe = recipe_from_json(request["recipe"])
        rows = np.load(request["rows"])
        weight = np.load(request["weight"]) if "weight" in request else None
        started = time.perf_counter()
        columns = read_columns(self._files, recipe, Path(request["features_path"]), rows)
        scorer = fit_scorer(recipe, self._project, columns=columns, outcome=np.load(request["outcome"]), weight=weight)
        facts = {
            "seconds": round(time.perf_counter() - started, 3),
            "notes": list(scorer.notes),
            "pipeline": recipe.pipeline,
            "features": features_document(scorer.frames.specs),
        }
        folder = Path(request["into"])
        with self._project.blamed("saving the fitted estimator"):
            content = pickle.dumps(scorer, protocol=5)
        _write(folder / "model.pickle", content)
        _write(folder / "facts.json", json.dumps(facts).encode())
        return facts

    def _predict(self, request: Request) -> dict[str, Any]:
        scorer = self._model(request["model"])
        rows = np.load(request["rows"]) if "rows" in request else slice(request["first"], request["last"])
        columns = read_columns(self._files, scorer.recipe, Path(request["features_path"]), rows)
        np.save(request["out"], scores_of(scorer, self._project, columns), allow_pickle=False)
        return {}

    def _export(self, request: Request) -> dict[str, Any]:
        from trueup.build.shipping import shipped_bytes

        scorer = self._model(request["model"])
        with self._project.blamed("saving the fitted estimator"):
            content = shipped_bytes(scorer)
        _write(Path(request["into"]), content)
        return {}

    def _leakage(self, request: Request) -> dict[str, Any]:
        from trueup.build.suspects import answer_leakage

        return answer_leakage(request, self._files, self._report)

    def _model(self, folder: str) -> Scorer:
        if folder in self._models:
            self._models.move_to_end(folder)
            return self._models[folder]
        try:
            content = (Path(folder) / "model.pickle").read_bytes()
        except OSError as cause:
            raise ModelUnreadable(
                f"There is no model in {folder}; it was removed from the scratch folder: train again", model=folder
            ) from cause
        scorer = self._unpickled(content, folder)
        self._models[folder] = scorer
        if len(self._models) > _MODELS_KEPT:
            self._models.popitem(last=False)
        return scorer

    def _unpickled(self, content: bytes, folder: str) -> Scorer:
        try:
            self._project.prepare_to_unpickle(_pipeline_of(Path(folder)))
            scorer = pickle.loads(content)  # noqa: S301 - this process exists to open pickles we wrote
        except BuildError:
            raise
        except Exception as cause:
            raise ModelUnreadable(
                f"The model in {folder} cannot be opened ({type(cause).__name__}): it is damaged, or was made with "
                "other versions of the libraries; train again",
                model=folder,
            ) from cause
        if not isinstance(scorer, Scorer):
            raise ModelUnreadable(f"The file in {folder} is not a model of Trueup", model=folder)
        return scorer


def main() -> None:
    """Answer until the other side ends."""
    out = os.fdopen(os.dup(1), "wb")
    # what the project's code prints goes to the log, not between the messages
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    hello = requests.get()
    _limit(hello["memory_limit_mb"])
    child = Child(hello, lambda done, total, text: send(out, {"progress": [done, total, text]}))
    send(out, {"ok": {}})
    while True:
        send(out, _answered(child, requests.get()))


def _listen(stream: BinaryIO, requests: queue.SimpleQueue[Request]) -> None:
    """Pass requests on; end the process at once, also in the middle of a fit, when the caller is gone."""
    while (request := receive(stream)) is not None:
        requests.put(request)
    os._exit(0)


def _answered(child: Child, request: Request) -> dict[str, Any]:
    try:
        return {"ok": child.answer(request)}
    except BuildError as error:
        return _error(error)
    except MemoryError:
        return _error(
            OutOfMemory(
                f'The process that holds the models met its memory limit during "{request["op"]}"; raise the limit, '
                "or train on fewer rows",
                operation=request["op"],
            )
        )
    except OSError as error:
        return _error(
            ScratchUnusable(
                f'"{request["op"]}" could not read or write a file: {error.strerror or type(error).__name__}; look at '
                "the free space of the scratch folder",
                operation=request["op"],
                errno=error.errno,
            )
        )
    except Exception as error:  # noqa: BLE001 - the border of the process: the fact crosses, the data does not
        import traceback

        traceback.print_exc()
        return _error(
            BuildError(
                f'"{request["op"]}" failed in the process that holds the models: {type(error).__name__}, '
                f"in {_last_place(error)}",
                operation=request["op"],
                exception=type(error).__name__,
            )
        )


def _error(error: BuildError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message, "facts": error.facts}}


def _last_place(error: BaseException) -> str:
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def _pipeline_of(folder: Path) -> str | None:
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_bytes())
    pipeline: str | None = facts.get("pipeline")
    return pipeline


def _limit(memory_limit_mb: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_limit_mb is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit_mb << 20, memory_limit_mb << 20))


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main()
