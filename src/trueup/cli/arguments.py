"""Which commands are there, and what do they take?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from trueup import __version__
from trueup.cli.bundle_actions import add_bundle, add_vulnerabilities
from trueup.cli.console import Console
from trueup.cli.exits import WrongUsage
from trueup.cli.log_actions import add_log
from trueup.cli.serving_actions import add_serve, add_serving, port

Command = Callable[[argparse.Namespace, Console], int]

_EPILOG = """exit codes:
  0 ok   1 a check failed   2 wrong usage or bad input   3 this machine lacks something   130 interrupted

first steps:
  trueup demo                                  a lender's fraud case, from charter to report
  trueup init fraud --example application-fraud    the same project as files of your own
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are errors like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of ending the process."""
        stray = message.removeprefix("unrecognized arguments: ")
        if stray != message and not stray.startswith("-"):
            message += f"; a project is named with --project where a command has actions: --project {stray.split()[0]}"
        raise WrongUsage(f"{message}\n{self.format_usage().strip()}\nSee: {self.prog} --help")


def command_named(name: str) -> Command:
    """Return the function that carries out a command; imported only now."""
    command: Command = import_module(f"trueup.cli.{name}_command").run
    return command


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="trueup",
        description="Takes a model from a business goal to production, and keeps it delivering what it promised.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trueup {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)
    _add_init(commands)
    check = _add_for_project(commands, "check", "say whether the charter is in order, and what it says")
    check.add_argument(
        "--against", metavar="PATH", help="another trueup.toml or project to compare with (default: what was signed)"
    )
    check.add_argument("--quality", action="store_true", help="evaluate the quality rules on the table that is there")
    check.add_argument("--version", type=int, metavar="N", help="with --quality: on this version, not the latest")
    check.add_argument("--history", action="store_true", help="with --quality: show what was found in each version")
    check.add_argument("--suggest", action="store_true", help="suggest quality rules that the table keeps, as TOML")
    ingest = _add_for_project(commands, "ingest", "read the source into a versioned table and examine it")
    ingest.add_argument("--source", help="read this file, glob or URL instead of [data] source")
    ingest.add_argument("--sheet", metavar="NAME", help="with --source: which sheet of the workbook")
    profile = _add_for_project(commands, "profile", "say what each column holds, and which moved")
    profile.add_argument("--version", type=int, metavar="N", help="of this version of the table (default: the latest)")
    profile.add_argument(
        "--against", metavar="VERSION|FILE", help="rank what moved since this version of the table, or a Parquet file"
    )
    profile.add_argument("--by", choices=("day",), help="also by day (UTC) of data.time")
    train = _add_for_project(commands, "train", "choose a model by value under the capacity, and package it")
    train.add_argument("--guided", action="store_true", help="guided training in place of the project's own pipeline")
    _add_no_guided(train)
    _add_shipping(train)
    package = _add_for_project(commands, "package", "compile and prove the model trained last, and say what ships")
    package.add_argument(
        "--mlflow", metavar="PATH", help="take this model that MLflow logged (folder with MLmodel) instead"
    )
    package.add_argument(
        "--replaces",
        metavar="KEY",
        help="take the last bundle although this public key, which signed it, is not trusted any more, and sign anew",
    )
    _add_shipping(package)
    _add_rehearse(commands)
    _add_predict(commands)
    report = _add_for_project(commands, "report", "write the last rehearsal as one HTML file")
    report.add_argument("--output", metavar="FILE", help="where to write it (default: .trueup/reports/report.html)")
    report.add_argument("--open", action="store_true", help="show it in the browser")
    sign = _add_for_project(commands, "sign", "sign the charter, with what was rehearsed as the promise")
    sign.add_argument("--by", metavar="NAME", help="who signs (default: the charter's sponsor)")
    add_bundle(commands)
    add_serve(commands)
    _add_up(commands)
    add_serving(commands)
    add_log(commands)
    _add_demo(commands)
    _with_json(commands.add_parser("doctor", help="say what this machine has and lacks", description=_DOCTOR))
    return parser


_DOCTOR = "Say whether this machine can run Trueup: Python, cores, memory, disk, libraries. Exits with 3 if not."


def _with_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, messages on stderr")
    return parser


def _add_for_project(commands: argparse._SubParsersAction[Parser], name: str, purpose: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    parser.add_argument("project", nargs="?", default=".", help="folder with trueup.toml (default: this one)")
    return _with_json(parser)


def _add_up(commands: argparse._SubParsersAction[Parser]) -> None:
    purpose = "start the place where people agree: pages, jobs, and a database of its own"
    parser = commands.add_parser("up", help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
    parser.add_argument("--home", metavar="FOLDER", help="of this installation (default: $TRUEUP_HOME or ~/.trueup)")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where pages are answered")
    parser.add_argument("--port", type=port, default=8000, metavar="N", help="of the pages")
    _with_json(parser)


def _add_init(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "init", help="start a project folder", description="Start a project folder with a trueup.toml to fill in."
    )
    parser.add_argument("project", nargs="?", default=".", help="folder to create (default: this one)")
    parser.add_argument("--example", metavar="NAME", help="copy a complete example: application-fraud")
    _with_json(parser)


def _add_rehearse(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = _add_for_project(commands, "rehearse", "play the whole operation on past data, for several strategies")
    parser.add_argument("--workers", type=_at_least_one, default=1, metavar="N", help="strategies side by side")
    parser.add_argument(
        "--strategy", action="append", metavar="NAME", help="play only this strategy; may be repeated (default: all)"
    )
    _add_no_guided(parser)


def _add_predict(commands: argparse._SubParsersAction[Parser]) -> None:
    purpose = "decide every row of a file or table, as a server would"
    parser = commands.add_parser("predict", help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    parser.add_argument("source", help="a .parquet, .csv or .jsonl file, or the name of a table of the project")
    parser.add_argument("--out", required=True, metavar="FILE", help="where the answers go; the same three formats")
    parser.add_argument("--project", default=".", metavar="PATH", help="folder with trueup.toml (default: this one)")
    parser.add_argument("--bundle", metavar="NAME", help="digest, folder or archive (default: the champion)")
    parser.add_argument("--key", action="append", metavar="FILE", help="also trust this public key; may be repeated")
    parser.add_argument(
        "--allocation",
        choices=("streaming", "period"),
        default="streaming",
        help="row by row, or whole periods",
    )
    parser.add_argument(
        "--clock", choices=("now", "event"), default="now", help="event: each row at its own time, as a rehearsal"
    )
    parser.add_argument("--keep", action="append", metavar="COLUMN", help="also write this column; may be repeated")
    parser.add_argument("--id", metavar="UUID", help="id of the run, version 7 (default: a new one)")
    parser.add_argument("--again", action="store_true", help="decide anew what was decided before")
    parser.add_argument("--spool", metavar="FOLDER", help="of the servers whose tokens count (default: the project's)")
    parser.add_argument("--workers", type=_at_least_one, default=1, metavar="N", help="processes that score")
    _with_json(parser)


def _add_no_guided(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-guided", action="store_true", help="do not compare guided training with the project's own pipeline"
    )


def _add_shipping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="FILE", help="sign with this private key (default: the project's own)")
    add_vulnerabilities(parser)


def _add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    purpose = "a lender's fraud case from charter to report, in under a minute"
    parser = commands.add_parser("demo", help=purpose, description=f"Play {purpose}. Every number is computed now.")
    parser.add_argument("--folder", default="trueup-demo", help="where to put the project (default: trueup-demo)")
    parser.add_argument("--no-drift", action="store_true", help="switch the simulator's drift off")
    parser.add_argument("--workers", type=_at_least_one, default=2, metavar="N", help="strategies side by side")
    parser.add_argument("--serve", action="store_true", help="then serve it, send applications, and go on answering")
    parser.add_argument("--port", type=port, default=8080, metavar="N", help="of --serve; 0 takes a free one")
    _with_json(parser)


def _at_least_one(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number of 1 or more')
    return number
