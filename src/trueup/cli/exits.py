"""How did a command end? The exit codes, and which error gives which."""

from __future__ import annotations

from trueup.kernel.errors import TrueupError

OK = 0
CHECK_FAILED = 1
BAD_INPUT = 2
ENVIRONMENT = 3
FAULT = 70
"""A fault in Trueup itself (EX_SOFTWARE of sysexits.h)."""
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

_ENVIRONMENT_CODES = (
    "build.out-of-memory",
    "build.runner-died",
    "build.scratch-unusable",
    "bundle.cannot-write",
    "bundle.environment-unavailable",
    "bundle.library-missing",
    "bundle.no-sandbox",
    "cli.environment",
    "compute.worker-died",
    "data.connection-failed",
    "data.connection-lost",
    "data.source-unreadable",
    "lake.capacity-unavailable",
    "lake.desired-state-lost",
    "lake.full",
    "lake.read-only",
    "lake.segment-broken",
    "lake.unavailable",
    "loop.cannot-write",
    "loop.scratch-full",
)
_CHECK_CODES = (
    "align.signature-invalid",
    "bundle.bad-archive",
    "bundle.bad-manifest",
    "bundle.bad-signature",
    "bundle.files-differ",
    "bundle.golden-rows-differ",
    "bundle.key-expired",
    "bundle.key-revoked",
    "bundle.lock-refused",
    "bundle.pickle-refused",
    "bundle.refused",
    "bundle.vulnerable-versions",
    "data.rules-broken",
    "lake.broken-manifest",
)


class CliError(TrueupError):
    """Base of what only a command line can get wrong."""

    code = "cli.error"


class WrongUsage(CliError):
    """The arguments are not ones the command knows."""

    code = "cli.usage"


class FolderTaken(CliError):
    """A command would have to overwrite somebody's files."""

    code = "cli.folder-taken"


class NotRehearsedYet(CliError):
    """There is no rehearsal to report or sign."""

    code = "cli.not-rehearsed"


class EnvironmentUnfit(CliError):
    """The machine lacks something: a folder that can be written, space, a library."""

    code = "cli.environment"


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error ends a command with."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, OSError):
        return ENVIRONMENT
    if not isinstance(error, TrueupError):
        return FAULT
    if error.code in _ENVIRONMENT_CODES:
        return ENVIRONMENT
    return CHECK_FAILED if error.code in _CHECK_CODES else BAD_INPUT
