"""What do `trueup serve` and `trueup serving` take?"""

from __future__ import annotations

import argparse
from typing import TypeVar

P = TypeVar("P", bound=argparse.ArgumentParser)


def add_serve(commands: argparse._SubParsersAction[P]) -> None:
    """Add `trueup serve` to the commands."""
    purpose = "answer requests: decide, log, and tell"
    parser = commands.add_parser("serve", help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    parser.add_argument(
        "target", nargs="?", default=".", help="folder with trueup.toml, or folder or s3:// URL of a lake (default: .)"
    )
    parser.add_argument("--bundle", metavar="FILE", help="serve this bundle alone: a folder, or an archive")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=port, default=8080, metavar="N", help="0 takes a free one (default: 8080)")
    parser.add_argument(
        "--processes",
        type=_count,
        default=1,
        metavar="N",
        help="that answer; as many as cores use them all (default: 1)",
    )
    parser.add_argument("--spool", metavar="FOLDER", help="local folder for the log's hot part and counters")
    parser.add_argument("--trust", action="append", metavar="KEY.pub", help="a key whose bundles are believed")
    parser.add_argument("--certificate", metavar="FILE", help="TLS certificate (PEM)")
    parser.add_argument("--certificate-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--no-sealing", action="store_true", help="another process seals the log of this spool")
    parser.add_argument(
        "--rehearsing", action="store_true", help="requests may say when they are decided (header trueup-now)"
    )
    parser.add_argument("--json", action="store_true", help="say where it answers as one JSON document")


def port(text: str) -> int:
    """Return the port that a text names."""
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f'"{text}" is no port; allowed are 0 to 65535')
    return number


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 1_000:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of processes; allowed are 1 to 1000')
    return number


def add_serving(commands: argparse._SubParsersAction[P]) -> None:
    """Add `trueup serving` and its actions to the commands."""
    purpose = "say and change what servers do: models, shares, capacity, callers"
    parser = commands.add_parser("serving", help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
    actions = parser.add_subparsers(dest="action", metavar="action", required=True, parser_class=type(parser))
    add_place(actions.add_parser("show", help="what is desired, and what each server does"))
    bundle = "start of a digest of a bundle in the lake"
    champion = _changing(actions, "champion", "let a bundle decide")
    champion.add_argument("bundle", help=bundle)
    for name, purpose in (
        ("canary", "let a bundle decide a share of the cases"),
        ("shadow", "ask a bundle about a share of the cases, deciding none"),
    ):
        action = _changing(actions, name, purpose)
        action.add_argument("bundle", help=bundle)
        action.add_argument("--share", type=_share, required=True, metavar="P%", help="of the cases, such as 10%%")
    _changing(actions, "remove", "take a canary or shadow out").add_argument("bundle", help="start of its digest")
    _changing(actions, "rollback", "go back to the champion before", reason=True)
    _changing(actions, "restore", "bring back the last version of a desired state that is gone or damaged")
    capacity = _changing(actions, "capacity", "act on fewer cases than the charter allows")
    capacity.add_argument("cases", type=_cases, help='cases a period, or "charter" for what it allows')
    _changing(actions, "pause", "let the signed fallback decide everything")
    _changing(actions, "resume", "let models decide again")
    token = _changing(actions, "token", "let a caller in; its token is shown once")
    token.add_argument("caller", metavar="name", help="what the caller is called in the log")
    token.add_argument("--scope", action="append", metavar="SCOPE", help="predict, facts or metrics (default: all)")
    token.add_argument("--until", metavar="DATE", help="its last day, in UTC, such as 2027-06-30")
    _changing(actions, "revoke", "let a caller in no more").add_argument("caller", metavar="name", help="of the caller")


def add_place(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let an action take a project or a lake."""
    parser.add_argument(
        "--project", default=".", metavar="PLACE", help="folder with trueup.toml, or folder or s3:// URL of a lake"
    )
    parser.add_argument("--name", metavar="NAME", help="which project of a lake that serves several")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, messages on stderr")
    return parser


def _changing(
    actions: argparse._SubParsersAction[P], name: str, purpose: str, *, reason: bool = False
) -> argparse.ArgumentParser:
    parser = add_place(actions.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}."))
    parser.add_argument("--reason", required=reason, metavar="TEXT", help="why, for the record")
    parser.add_argument("--by", metavar="NAME", help="who changes it, for the record (default: the user here)")
    parser.add_argument("--trust", action="append", metavar="KEY.pub", help="a key whose bundles are believed")
    parser.add_argument(
        "--wait", type=_seconds, default=10.0, metavar="SECONDS", help="for servers to carry it out (default: 10)"
    )
    return parser


def _share(text: str) -> float:
    number = text.removesuffix("%")
    try:
        share = float(number) / 100.0 if text.endswith("%") else float(number)
    except ValueError:
        share = -1.0
    if 1.0 < share <= 100.0 and not text.endswith("%"):
        raise argparse.ArgumentTypeError(f'"{text}" is no share; write {number}%')
    if not 0.0 <= share <= 1.0:
        raise argparse.ArgumentTypeError(f'"{text}" is no share; allowed are 0% to 100%')
    return share


def _cases(text: str) -> int | None:
    if text == "charter":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is no capacity; give cases a period, or "charter"')
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= 3600.0:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of seconds; allowed are 0 to 3600')
    return seconds
