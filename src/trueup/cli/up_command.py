"""How does everything start? `trueup up`: one command, one link to open."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from trueup.cli.console import Console


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup up`."""
    from trueup.control.configuration import HOME
    from trueup.control.starting import Started, run_all

    home = Path(arguments.home or os.environ.get(HOME) or "~/.trueup").expanduser().absolute()

    def ready(started: Started) -> None:
        lines = [f"Pages: {started.url}; Ctrl-C ends everything."]
        if started.first_link:
            lines.append(f"Nobody has an account yet. Open this link once, to begin: {started.first_link}")
        console.result({"url": started.url, "first_link": started.first_link, "home": str(home)}, lines)

    console.note(f"Starting in {home}")
    return run_all(
        home, host=arguments.host, port=arguments.port, environment=os.environ, ready=ready, say=console.note
    )
