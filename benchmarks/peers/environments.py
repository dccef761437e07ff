"""How does a tool run that cannot share our environment? In its own, made once from pinned requirements."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PINS, _PLACE, _OUR_UV = Path(__file__).parent, Path("build/peers"), Path(".tools/bin/uv")
_LONGEST_SECONDS = 600


class PeerMissing(Exception):
    """A peer could not be installed, or failed; the message is its last line."""


@dataclass(frozen=True)
class Told:
    """What a peer said of its work."""

    cpu_seconds: float
    memory_mb: float
    found: dict[str, Any]
    """Figures of its own, to be compared with ours."""


def run_peer(name: str, folder: Path) -> Told:
    """Return what a peer took for the files of a folder, measured by itself in its own environment, made if need be.

    Raises
    ------
    PeerMissing
    """
    python = environment_of(name)
    output = folder / f"{name}.json"
    home = folder / f"{name}-home"  # a peer that reports home finds no address and writes nothing outside
    home.mkdir(exist_ok=True)
    quiet = {"HOME": str(home), "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "1"}
    _run([str(python), "-m", f"benchmarks.peers.{name}", str(folder), str(output)], extra=quiet)
    return Told(**json.loads(output.read_text()))


def environment_of(name: str) -> Path:
    """Return the Python of a peer's environment, made from its pins where there is none of these pins yet."""
    pins, place = _PINS / f"{name}.txt", _PLACE / name
    python, ready = (place / "bin" / "python").absolute(), place / "pins.txt"
    if ready.exists() and ready.read_text() == pins.read_text():
        return python
    uv = str(_OUR_UV) if _OUR_UV.exists() else shutil.which("uv")
    if uv is None:
        raise PeerMissing("uv is missing; run make bench")
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)])
    _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r", str(pins)])
    ready.write_text(pins.read_text())
    return python


def _run(command: list[str], *, extra: dict[str, str] | None = None) -> None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", **(extra or {})}
    try:
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"no answer within {_LONGEST_SECONDS} s") from error
    if ran.returncode:
        lines = ran.stderr.strip().splitlines() or [f"exit status {ran.returncode}"]
        raise PeerMissing(lines[-1][:200])
