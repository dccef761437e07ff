"""The process that proves imports nothing that opens pickles or makes data frames."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pandas", "sklearn", "lightgbm", "pyarrow", "duckdb", "sqlglot", "onnxruntime", "scipy", "pickle5")


def test_it_starts_without_heavy_libraries() -> None:
    code = f"import sys, trueup.bundle.proving_process; print([m for m in {HEAVY!r} if m in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
