"""Who is to blame when the project's own code raises? Loads `pipeline.py` and names the line in it.

Loaded in the separate process only. An error says the user's own exception type and place; its message and traceback,
which may hold rows, go to a local file only.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from trueup.build.errors import BuildError, NotAnEstimator, PipelineFailed, PipelineNotFound
from trueup.build.recipe import Recipe
from trueup.kernel.errors import nearest_spelling


class ProjectCode:
    """The Python files of a project folder."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._log = scratch / "pipeline-error.log"

    def make_estimator(self, recipe: Recipe) -> Any:
        """Return what the project's function returns, after a look that it can be fitted and asked.

        The function is called with those of `features` (the recipe's `Feature` records), `task` and `seed` that its
        parameters name.

        Raises
        ------
        PipelineNotFound, PipelineFailed, NotAnEstimator
        """
        function = self._function(recipe.pipeline or "pipeline:make")
        offered = {"features": recipe.features, "task": recipe.task, "seed": recipe.seed}
        names = inspect.signature(function).parameters
        with self.blamed(f"calling {recipe.pipeline}"):
            estimator = function(**{name: value for name, value in offered.items() if name in names})
        if not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
            raise NotAnEstimator(
                f"{recipe.pipeline} returned a {type(estimator).__name__}; it must return an estimator with fit and "
                "predict, such as a scikit-learn Pipeline",
                returned=type(estimator).__name__,
            )
        return estimator

    @contextmanager
    def blamed(self, doing: str) -> Iterator[None]:
        """Turn whatever is raised inside into `PipelineFailed` with type and place."""
        try:
            yield
        except (BuildError, MemoryError):
            raise
        except Exception as cause:
            raise self._failed(cause, doing) from cause

    def _failed(self, cause: Exception, doing: str) -> PipelineFailed:
        self._log.write_text("".join(traceback.format_exception(cause)))
        kind = type(cause).__name__
        place = self._place(cause)
        where = f" at {place[0]}, line {place[1]}" if place else ""
        return PipelineFailed(
            f"The project's own code raised {kind}{where} while {doing}; the full traceback, which may hold data, is "
            f"in {self._log}",
            exception=kind,
            file=place[0] if place else None,
            line=place[1] if place else None,
            log=str(self._log),
        )

    def _place(self, cause: BaseException) -> tuple[str, int] | None:
        """Return file and line of the innermost frame inside the project folder."""
        if isinstance(cause, SyntaxError) and cause.filename and Path(cause.filename).is_relative_to(self._folder):
            return Path(cause.filename).relative_to(self._folder).as_posix(), cause.lineno or 0
        for frame in reversed(traceback.extract_tb(cause.__traceback__)):
            if Path(frame.filename).is_relative_to(self._folder):
                return Path(frame.filename).relative_to(self._folder).as_posix(), frame.lineno or 0
        return None

    def _function(self, name: str) -> Callable[..., Any]:
        module_name, _, function_name = name.partition(":")
        module = self._module(module_name)
        function = getattr(module, function_name, None)
        if not callable(function):
            callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise PipelineNotFound(
                f'{module_name}.py has no function "{function_name}"{nearest_spelling(function_name, callables)}; '
                f'train.pipeline is "{name}"',
                pipeline=name,
            )
        made: Callable[..., Any] = function
        return made

    def _module(self, name: str) -> ModuleType:
        """Return a module of the folder; it wins over an installed one of the same name."""
        if name in sys.modules:
            return sys.modules[name]
        path = self._folder / f"{name.replace('.', '/')}.py"
        if not path.is_file():
            raise PipelineNotFound(
                f"train.pipeline names {name}.py, which is not in the project folder"
                f"{nearest_spelling(path.name, (p.name for p in self._folder.glob('*.py')))}",
                module=name,
            )
        if str(self._folder) not in sys.path:
            # at the end: a project's random.py must not hide the standard one from libraries
            sys.path.append(str(self._folder))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            with self.blamed(f"importing {path.name}"):
                spec.loader.exec_module(module)
        except BuildError:
            del sys.modules[name]
            raise
        finally:
            # libraries may keep their bytecode, but the project's folder stays as it was
            sys.dont_write_bytecode = written
        return module

    def prepare_to_unpickle(self, pipeline: str | None) -> None:
        """Import the module that a pickled model of this project refers to."""
        if pipeline:
            self._module(pipeline.partition(":")[0])
