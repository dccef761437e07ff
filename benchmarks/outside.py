"""Do clients that others wrote infer against our server? ``python -m benchmarks.outside``; one line for each.

KServe's client runs in an environment of its own, made from pinned requirements; where no package index answers it is
skipped, and that is said.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import httpx

from benchmarks.asking import serving
from benchmarks.contestants import contestants
from benchmarks.peers.environments import PeerMissing, run_peer
from benchmarks.serving_model import PROJECT, TOKEN, ServedModel, make_model, rows_by_name


def kserve_finds(model: ServedModel, folder: Path) -> list[str]:
    """Return what KServe's client found other than promised; empty when all is well.

    Raises
    ------
    PeerMissing
        It cannot be installed, or it failed.
    """
    ours = contestants()["process"]
    rows = [
        {name: value for name, value in json.loads(row).items() if value is not None} for row in rows_by_name()[:50]
    ]
    shared = set.intersection(*(set(row) for row in rows[:2]))
    asked = [{name: row[name] for name in sorted(shared)} for row in rows[:2]]
    with serving(lambda port: ours.command(model, folder, port), folder=folder) as running:
        url = f"http://127.0.0.1:{running.port}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        by_rows = httpx.post(f"{url}/predict/{PROJECT}", json={"rows": asked}, headers=headers).json()["predictions"]
        question = {"url": url, "model": PROJECT, "token": TOKEN, "rows": asked}
        (folder / "question.json").write_text(json.dumps(question))
        found = run_peer("kserve", folder).found
    expected = {
        "live": True,
        "ready": True,
        "model_ready": True,
        "id": "7",
        "model": PROJECT,
    }
    wrong = [
        f"{name} is {found.get(name)!r}, not {value!r}" for name, value in expected.items() if found[name] != value
    ]
    if set(found["outputs"]["bundle"]) != {model.digest}:  # the client does not read model_version
        wrong.append(f"bundle is {found['outputs']['bundle']!r}, not {model.digest!r}")
    for name in ("score", "decision", "association_id"):
        told = [row[name] for row in by_rows]
        if found["outputs"][name] != told:
            wrong.append(f"{name} is {found['outputs'][name]!r}, not {told!r}")
    return wrong


def main() -> int:
    """Ask, and say what came of it; 1 when a client found something else than promised."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            wrong = kserve_finds(make_model(folder), folder)
        except PeerMissing as error:
            print(f"kserve: skipped, {error}")
            return 0
    print("\n".join([f"kserve: {what}" for what in wrong] or ["kserve: finds, and infers, as promised"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
