"""Can this machine run Trueup? `trueup doctor`: one line a fact, with what to do about it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from trueup.cli.console import Console
from trueup.cli.exits import ENVIRONMENT, OK

Level = Literal["ok", "warn", "fail"]
_GIB = 1024**3


@dataclass(frozen=True)
class Finding:
    """One fact about the machine."""

    name: str
    level: Level
    seen: str
    advice: str = ""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup doctor`."""
    findings = examine(Path.cwd())
    fit = all(f.level != "fail" for f in findings)
    lines = [f"{f.level:<5}{f.name:<18}{f.seen}{'  - ' + f.advice if f.advice else ''}" for f in findings]
    lines.append("Ready." if fit else "Not ready: see the lines that say fail.")
    console.result({"ok": fit, "findings": [asdict(f) for f in findings]}, lines)
    return OK if fit else ENVIRONMENT


def examine(folder: Path) -> list[Finding]:
    """Return what was found, for work in `folder`."""
    checks: list[Callable[[], Finding]] = [_python, _cores, _memory, lambda: _disk(folder), lambda: _writable(folder)]
    return [*(check() for check in checks), *_dependencies(), _chromium()]


def _python() -> Finding:
    # an older Python cannot even install the package: only the fact is worth a line
    return Finding("python", "ok", ".".join(str(part) for part in sys.version_info[:3]))


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if usable >= 2:
        return Finding("cores", "ok", str(usable))
    return Finding("cores", "warn", str(usable), "with 2 or more, strategies are rehearsed side by side")


def _memory() -> Finding:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return Finding("memory", "warn", "unknown")
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    advice = "" if gib >= 4 else "4 GiB or more are comfortable"
    return Finding("memory", "warn" if advice else "ok", f"{gib:.1f} GiB", advice)


def _disk(folder: Path) -> Finding:
    gib = shutil.disk_usage(folder).free / _GIB
    seen = f"{gib:.1f} GiB free"
    if gib < 0.2:
        return Finding("disk", "fail", seen, "free some space first")
    return Finding("disk", "ok" if gib >= 2 else "warn", seen, "" if gib >= 2 else "2 GiB or more are comfortable")


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("this folder", "ok", "writable")
    except OSError as error:
        return Finding("this folder", "fail", str(error.strerror), "change to a folder you may write")


def _dependencies() -> list[Finding]:
    wanted = [line for line in requires("trueup") or [] if "extra ==" not in line]
    return [_dependency(line) for line in sorted(wanted)]


def _dependency(requirement: str) -> Finding:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        seen = version(wanted.name)
    except PackageNotFoundError:
        return Finding(wanted.name, "fail", "missing", f"install it: {requirement}")
    if not wanted.specifier.contains(seen, prereleases=True):
        return Finding(wanted.name, "fail", seen, f"{wanted.specifier} is needed")
    return Finding(wanted.name, "ok", seen)


def _chromium() -> Finding:
    path = shutil.which("chromium")
    if path:
        return Finding("chromium", "ok", path)
    return Finding("chromium", "ok", "absent", "only the tests of report pages use it")
