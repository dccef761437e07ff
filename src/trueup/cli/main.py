"""What does `trueup` do with its arguments? Finds the command, runs it, turns whatever happens into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from trueup.cli.arguments import build_parser, command_named
from trueup.cli.console import Console
from trueup.cli.exits import OK, exit_code_of
from trueup.kernel.errors import TrueupError

_TO_DO = "see that there is space and that it can be read and written, then run the same command again"


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code; only `--help` and `--version` end the process themselves."""
    console = Console(as_json="--json" in argv)
    try:
        parser = build_parser()
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help()
            return OK
        return command_named(arguments.command)(arguments, console)
    except BrokenPipeError:
        # whoever read our output has seen enough; Python would complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (KeyboardInterrupt, Exception) as error:
        # the process boundary: whatever it is becomes a message and an exit code
        if os.environ.get("TRUEUP_TRACEBACK"):
            raise
        console.error(*describe(error))
        return exit_code_of(error)


def describe(error: BaseException) -> tuple[str, str, dict[str, object]]:
    """Return code, message and facts of whatever ended a command early."""
    if isinstance(error, KeyboardInterrupt):
        return "cli.interrupted", "interrupted; nothing is half-written, run the same command again", {}
    if isinstance(error, TrueupError):
        return error.code, error.message, error.facts
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return "cli.environment", f"the system refused: {error.strerror or error}{where}; {_TO_DO}", {}
    fault = f"a fault in Trueup itself: {type(error).__name__}: {error}"
    return "cli.fault", f"{fault}\nnothing published is half-written; TRUEUP_TRACEBACK=1 shows where it happened", {}
