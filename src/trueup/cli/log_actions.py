"""What does `trueup log` take?"""

from __future__ import annotations

import argparse
from typing import TypeVar

from trueup.cli.serving_actions import add_place

P = TypeVar("P", bound=argparse.ArgumentParser)
TABLES = ("predictions", "outcomes", "interventions", "verdicts", "events", "features", "cases")


def add_log(commands: argparse._SubParsersAction[P]) -> None:
    """Add `trueup log` and its actions to the commands."""
    purpose = "look into the prediction log, and keep it as it must be kept"
    parser = commands.add_parser("log", help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    actions = parser.add_subparsers(dest="action", metavar="action", required=True, parser_class=type(parser))
    _add(actions, "show", "what is in it, and whether everything that was answered is")
    _spool(_add(actions, "verify", "whether its chain and every file are what was written"))
    case = _add(actions, "case", "what was decided about a case, and what came of it")
    case.add_argument("case", help="the association_id, or a prediction_id")
    export = _add(actions, "export", "write a table of it as a file")
    export.add_argument("table", choices=TABLES, help=", ".join(TABLES))
    export.add_argument("--out", required=True, metavar="FILE", help="a .parquet or .csv file")
    export.add_argument("--as-of", metavar="TIME", help="as it was known then, such as 2027-06-30T12:00:00+02:00")
    _spool(_add(actions, "seal", "take what servers of this host finished into the lake, once, now"))
    _add(actions, "compact", "sort the days that are over by case, and remove files that are in no entry")
    drop = _add(actions, "drop", "remove files whose rows are all older than a day")
    drop.add_argument("--before", required=True, metavar="DATE", help="a day in UTC, such as 2027-06-30")
    drop.add_argument("--reason", metavar="TEXT", default="retention", help="for the record (default: retention)")
    _spool(drop)
    erase = _add(actions, "erase", "erase the personal values of a case, with the keys of this host")
    erase.add_argument("case", help="the association_id")
    _spool(erase)


def _add(actions: argparse._SubParsersAction[P], name: str, purpose: str) -> argparse.ArgumentParser:
    return add_place(actions.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}."))


def _spool(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spool", metavar="FOLDER", help="the servers' local folder, where they were told another")
