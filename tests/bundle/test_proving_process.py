"""The process that proves imports nothing that opens pickles or makes data frames, and can change nothing."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

from trueup.bundle.candidates import Offer
from trueup.bundle.offering import trial_message
from trueup.bundle.scoring import child_environment
from trueup.bundle.wire import receive, send

HEAVY = ("pandas", "sklearn", "lightgbm", "pyarrow", "duckdb", "sqlglot", "onnxruntime", "scipy", "pickle5")


def test_it_starts_without_heavy_libraries() -> None:
    code = f"import sys, trueup.bundle.proving_process; print([m for m in {HEAVY!r} if m in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


AFTERWARDS = """
import json, pathlib, socket, subprocess, sys
import trueup.bundle.proving_process
trueup.bundle.proving_process.main()
through = []
for name, attempt in {{
    "write": lambda: pathlib.Path({target!r}).write_text("x"),
    "connect": lambda: socket.create_connection(("127.0.0.1", {port}), timeout=5),
    "start a program": lambda: subprocess.run(["true"]),
    "write in the scratch folder": lambda: pathlib.Path({scratch!r}, "kept").write_text("x"),
}}.items():
    try:
        attempt()
        through.append(name)
    except OSError:
        continue
print(json.dumps(through), file=sys.stderr)
"""


def test_it_is_confined_before_it_opens_a_predictor(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    message = io.BytesIO()
    head, body = trial_message(Offer("onnx", {"format": 1, "stages": []}), (), features=(), cutoff=None)
    send(message, {**head, "scratch": str(scratch)}, body)
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = AFTERWARDS.format(target=str(tmp_path / "target"), port=server.getsockname()[1], scratch=str(scratch))
        ran = subprocess.run(
            [sys.executable, "-c", script],
            input=message.getvalue(),
            capture_output=True,
            check=False,
            env=child_environment(),
        )

    assert ran.returncode == 0, ran.stderr.decode()
    answered = receive(io.BytesIO(ran.stdout))
    assert answered is not None
    assert "failed" in answered[0]
    assert json.loads(ran.stderr.splitlines()[-1]) == ["write in the scratch folder"]
    assert not (tmp_path / "target").exists()
