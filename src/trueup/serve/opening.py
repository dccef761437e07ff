"""Which bundles may answer here? Those that verify, and give in this process what they gave in development.

A compiled bundle is opened in the server's process. One whose model stays in Python answers from a process that holds
it, one that does not reproduce here from a process of the environment it was made in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trueup.bundle.elsewhere import Elsewhere
from trueup.bundle.environment import compare_environment
from trueup.bundle.errors import BundleError, GoldenRowsDiffer, LibraryMissing, ModelFailed
from trueup.bundle.fast_answers import FastAnswers
from trueup.bundle.layout import LOCK
from trueup.bundle.loading import open_bundle, open_process, verify_bundle
from trueup.bundle.manifest import Manifest
from trueup.bundle.predictors.predictor import Predictor
from trueup.bundle.recreation import make_environment, plan_environment
from trueup.bundle.scoring import ModelProcess
from trueup.serve.slow_models import SlowModel


@dataclass(frozen=True)
class OpenedBundle:
    """A bundle that is verified, replayed and ready to answer."""

    folder: Path
    manifest: Manifest
    predictor: Predictor | None
    """Answers in this process; None where `slow` does."""
    slow: SlowModel | None = None
    """Answers in another process."""

    @property
    def digest(self) -> str:
        """Return its name."""
        return self.manifest.digest

    def close(self) -> None:
        """Let go of what it holds; answers under way are still given. May be called twice."""
        if self.slow is not None:
            self.slow.close()


@dataclass(frozen=True)
class Opening:
    """Where bundles are trusted and in which environments they may be opened."""

    trusted_keys: Sequence[Path]
    environments: Path
    """Folder in which environments are made and kept."""

    def check(self, folder: Path, *, digest: str, today: date) -> None:
        """Raise `BundleRefused` where a folder does not hold the bundle, signed by a trusted key; runs nothing."""
        verify_bundle(folder, trusted_keys=self.trusted_keys, digest=digest, today=today)

    def open(self, folder: Path, *, digest: str, today: date) -> OpenedBundle:
        """Return a bundle ready to answer.

        Raises
        ------
        BundleRefused
            It is not what its signature says, or its golden rows reproduce neither here nor in its own environment.
        BundleError
            Its environment cannot be made.
        """
        try:
            loaded = open_bundle(folder, trusted_keys=self.trusted_keys, digest=digest, today=today)
        except (LibraryMissing, GoldenRowsDiffer, ModelFailed) as error:
            return self._open_elsewhere(folder, digest=digest, today=today, because=error)
        answering = loaded.answering
        if not isinstance(answering, ModelProcess):
            predictor = answering.predictor if isinstance(answering, FastAnswers) else None
            return OpenedBundle(folder, loaded.manifest, predictor)

        def start() -> ModelProcess:
            return open_process(folder, trusted_keys=self.trusted_keys, digest=digest, today=today)

        return OpenedBundle(folder, loaded.manifest, None, SlowModel(answering, start))

    def _open_elsewhere(self, folder: Path, *, digest: str, today: date, because: BundleError) -> OpenedBundle:
        """Open it in the environment of its lock, unless that is this one: then it is refused for good."""
        manifest = verify_bundle(folder, trusted_keys=self.trusted_keys, digest=digest, today=today)
        lock = (folder / LOCK).read_text("utf-8")
        if not compare_environment(lock):
            raise because

        def start() -> Elsewhere:
            plan = make_environment(plan_environment(lock, cache=self.environments))
            return Elsewhere(plan.interpreter, folder, trusted_keys=self.trusted_keys, today=today)

        return OpenedBundle(folder, manifest, None, SlowModel(start(), start))
