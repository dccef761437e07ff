"""What can go wrong while a model is built?"""

from __future__ import annotations

from trueup.kernel.errors import TrueupError


class BuildError(TrueupError):
    """Base of every error of this room."""

    code = "build.error"


class RunnerDied(BuildError):
    """The separate process ended without an answer."""

    code = "build.runner-died"


class OutOfMemory(BuildError):
    """The separate process met its memory limit."""

    code = "build.out-of-memory"


class PipelineNotFound(BuildError):
    """``module:function`` names nothing in the project folder."""

    code = "build.pipeline-not-found"


class PipelineFailed(BuildError):
    """The project's own code raised."""

    code = "build.pipeline-failed"


class NotAnEstimator(BuildError):
    """The project's function returned something that cannot be fitted and asked."""

    code = "build.not-an-estimator"


class NoProbabilities(BuildError):
    """A classifier that cannot say how likely the positive outcome is."""

    code = "build.no-probabilities"


class LabelConstant(BuildError):
    """All training rows have the same outcome."""

    code = "build.label-constant"


class NoTrainingRows(BuildError):
    """Nothing to learn from."""

    code = "build.no-training-rows"


class ColumnMissing(BuildError):
    """A feature is not in the features file."""

    code = "build.column-missing"


class ColumnUnreadable(BuildError):
    """A feature's values do not fit its kind."""

    code = "build.column-unreadable"


class UnknownRecipe(BuildError):
    """A recipe of a kind, or with a parameter, that does not exist."""

    code = "build.unknown-recipe"


class ModelUnreadable(BuildError):
    """A model file that is missing or damaged."""

    code = "build.model-unreadable"


class ScoresUnusable(BuildError):
    """An estimator answered with numbers that are no scores: a wrong shape, NaN, infinities."""

    code = "build.scores-unusable"


class ScratchUnusable(BuildError):
    """The scratch folder cannot be written or read: full, read-only, not a folder."""

    code = "build.scratch-unusable"


class SplitImpossible(BuildError):
    """No rows are left on one side of a split."""

    code = "build.split-impossible"


def error_from(code: str, message: str, facts: dict[str, object]) -> BuildError:
    """Return the error of this room that has `code`, as it crossed the border between processes."""
    known = {kind.code: kind for kind in BuildError.__subclasses__()}
    return known.get(code, BuildError)(message, **facts)
