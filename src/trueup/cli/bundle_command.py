"""Which action of `trueup bundle` was asked for? Each is a function in `cli.bundles`."""

from __future__ import annotations

import argparse
from importlib import import_module

from trueup.cli.console import Console

_ACTIONS = {
    "verify": "verifying.verify",
    "show": "showing.show",
    "diff": "showing.diff",
    "notes": "showing.notes",
    "export": "moving.export",
    "import": "moving.import_",
    "run": "running.run",
    "trust": "trusting.trust",
}


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle`; the action's module is imported only now."""
    module, _, function = _ACTIONS[arguments.action].partition(".")
    code: int = getattr(import_module(f"trueup.cli.bundles.{module}"), function)(arguments, console)
    return code
