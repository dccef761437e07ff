"""Do the programs and commands of the page about MLflow work exactly as they stand there?"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from trueup.bundle.golden import parse_golden

PAGE = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text(encoding="utf-8")


@pytest.mark.timeout(300)
def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    loading, logging = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    commands = [line[2:] for line in PAGE.splitlines() if line.startswith("$ ")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (tmp_path / "log_model.py").write_text(logging)

    assert len(commands) == 2
    said = ""
    for command in commands:
        done = subprocess.run(
            shlex.split(command),
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        said = done.stdout
    assert "Pipeline from an MLflow model of flavour sklearn" in said
    assert 'takes amount (number), broker (category), visits (number); answers with the probability of "1"' in said

    (bundle,) = (tmp_path / ".trueup" / "lake" / "bundles").glob("[0-9a-f]*")
    example = json.loads((bundle / "model" / "input_example.json").read_text())
    pd.DataFrame(example["data"], columns=example["columns"]).to_parquet(tmp_path / "applications.parquet")
    program = loading.replace("<bundle>", str(bundle)) + "print([score.hex() for score in scores])\n"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    golden = parse_golden((bundle / "golden.jsonl").read_bytes())[: len(example["data"])]
    assert ast.literal_eval(answer) == [row.output[0].hex() for row in golden if row.output]
