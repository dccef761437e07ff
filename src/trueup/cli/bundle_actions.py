"""Which actions does `trueup bundle` have, and what do they take?"""

from __future__ import annotations

import argparse
from typing import TypeVar

P = TypeVar("P", bound=argparse.ArgumentParser)
_BUNDLE = "start of a digest, a folder, or an archive"
_OR_LAST = f"{_BUNDLE} (default: the one that was packaged last)"


def add_bundle(commands: argparse._SubParsersAction[P]) -> None:
    """Add `trueup bundle` and its actions to the commands."""
    purpose = "verify, show, compare, move and run bundles"
    parser = commands.add_parser("bundle", help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    actions = parser.add_subparsers(dest="action", metavar="action", required=True, parser_class=type(parser))
    verify = _add(actions, "verify", "check files, signature and key; nothing of the bundle is executed")
    verify.add_argument("bundle", nargs="?", help=_OR_LAST)
    verify.add_argument("--replay", action="store_true", help="let it answer its golden rows here too")
    add_vulnerabilities(verify)
    show = _add(actions, "show", "say what is in a bundle")
    show.add_argument("bundle", nargs="?", help=_OR_LAST)
    for name, purpose in (
        ("diff", "say everything that changed from one bundle to another"),
        ("notes", "write release notes in Markdown from what changed"),
    ):
        action = _add(actions, name, purpose)
        action.add_argument("before", help=_BUNDLE)
        action.add_argument("after", help=_BUNDLE)
    action.add_argument("--output", metavar="FILE", help="write them there, not on the screen")
    export = _add(actions, "export", "write a bundle as one file")
    export.add_argument("bundle", nargs="?", help=_OR_LAST)
    export.add_argument("--into", default=".", metavar="FOLDER", help="folder to write it in (default: this one)")
    import_ = _add(actions, "import", "take an archive into the project's bundles, once it was verified")
    import_.add_argument("archive", help="file that trueup bundle export wrote")
    run = _add(
        actions, "run", "recreate the bundle's environment, prove it there, and let it answer the rows of a file"
    )
    run.add_argument("bundle", nargs="?", help=_OR_LAST)
    run.add_argument("--input", metavar="FILE", help="rows: .jsonl, .csv or .parquet (default: golden rows only)")
    run.add_argument("--output", metavar="FILE", help="answers: .jsonl, .csv or .parquet")
    run.add_argument("--in-place", action="store_true", help="in the environment that is running, without making one")
    trust = _add(actions, "trust", "list the keys whose bundles are believed, add one, or end its trust")
    trust.add_argument("public_key", nargs="?", help="a .pub file, or the name of a key that is trusted")
    trust.add_argument("--until", metavar="DATE", help="its last day, in UTC, such as 2027-06-30")
    trust.add_argument("--revoke", metavar="REASON", help="believe nothing it signed any more")


def add_vulnerabilities(parser: argparse.ArgumentParser) -> None:
    """Let a command take an advisory database."""
    parser.add_argument(
        "--vulnerabilities", metavar="FILE", help="look the versions up in this OSV database (json, folder or zip)"
    )


def _add(actions: argparse._SubParsersAction[P], name: str, purpose: str) -> P:
    parser = actions.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    parser.add_argument(
        "--project", default=".", metavar="FOLDER", help="whose bundles and keys (default: this folder)"
    )
    if name != "trust":
        parser.add_argument("--key", action="append", metavar="FILE", help="trust this public key too; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, messages on stderr")
    return parser
