"""BentoML, one worker: a service that takes rows of numbers and asks the model for probabilities."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_SERVICE = """
import os, pickle

import bentoml
import numpy as np


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, traffic={"timeout": 60})
class Benchmark:
    def __init__(self):
        with open(os.environ["BENCHMARK_MODEL"], "rb") as file:
            self.model = pickle.load(file)

    @bentoml.api
    def predict(self, rows: list[list[float | None]]) -> list[float]:
        return self.model.predict_proba(np.array(rows, dtype=np.float64))[:, 1].tolist()
"""


def main() -> None:
    """Become BentoML, with the model of a folder, on a port."""
    folder, port = Path(sys.argv[1]), sys.argv[2]
    here = folder / "bentoml"
    here.mkdir(exist_ok=True)
    (here / "service.py").write_text(_SERVICE)
    quiet = {"BENTOML_HOME": str(here / "home"), "BENTOML_DO_NOT_TRACK": "True", "HOME": str(here)}
    environment = {**os.environ, **quiet, "BENCHMARK_MODEL": str(folder / "of_numbers.pickle")}
    options = ["--host", "127.0.0.1", "--port", port, "--working-dir", str(here)]
    command = [sys.executable, "-m", "bentoml", "serve", "service:Benchmark", *options]
    os.execve(sys.executable, command, environment)  # no shell wanted


if __name__ == "__main__":
    main()
