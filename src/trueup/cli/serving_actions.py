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
    parser.add_argument("--port", type=_port, default=8080, metavar="N", help="0 takes a free one (default: 8080)")
    parser.add_argument("--processes", type=_count, default=1, metavar="N", help="one for each core (default: 1)")
    parser.add_argument("--spool", metavar="FOLDER", help="local folder for the log's hot part and counters")
    parser.add_argument("--trust", action="append", metavar="KEY.pub", help="a key whose bundles are believed")
    parser.add_argument("--certificate", metavar="FILE", help="TLS certificate (PEM)")
    parser.add_argument("--certificate-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--no-sealing", action="store_true", help="another process seals the log of this spool")
    parser.add_argument(
        "--rehearsing", action="store_true", help="requests may say when they are decided (header trueup-now)"
    )
    parser.add_argument("--json", action="store_true", help="say where it answers as one JSON document")


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f'"{text}" is no port; allowed are 0 to 65535')
    return number


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 1_000:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of processes; allowed are 1 to 1000')
    return number
