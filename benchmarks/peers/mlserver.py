"""MLServer with its own runtime of scikit-learn or LightGBM, in one process: the model takes an array of numbers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path

RUNTIMES = {
    "sklearn": ("mlserver_sklearn.SKLearnModel", "of_numbers.pickle", "model.pickle"),
    "lightgbm": ("mlserver_lightgbm.LightGBMModel", "lightgbm.txt", "model.bst"),
}


def main() -> None:
    """Become MLServer, with a model of a folder, on a port."""
    folder, runtime, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    implementation, source, name = RUNTIMES[runtime]
    here = folder / runtime / "benchmark"
    here.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / source, here / name)
    model = {"name": "benchmark", "implementation": implementation, "parameters": {"uri": f"./{name}"}}
    with socket.create_server(("127.0.0.1", 0)) as free:
        other = int(free.getsockname()[1])
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": other,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    (here / "model-settings.json").write_text(json.dumps(model))
    (here / "settings.json").write_text(json.dumps(settings))
    command = Path(sys.executable).with_name("mlserver")
    os.execv(command, [str(command), "start", str(here)])  # no shell wanted


if __name__ == "__main__":
    main()
