"""Does the KServe client for Python understand our server? Its own environment; run beside a server that answers."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def ask(url: str, model: str, token: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the client finds and infers: live, ready, and each output by name."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # type: ignore[import-not-found]

    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    inputs = []
    for name, value in rows[0].items():
        kind = "BYTES" if isinstance(value, str) else "FP64"
        tensor = InferInput(name=name, shape=[len(rows)], datatype=kind, data=[row[name] for row in rows])
        inputs.append(tensor)
    headers = {"Authorization": f"Bearer {token}"}
    answer = await client.infer(url, InferRequest(model, inputs, request_id="7"), model_name=model, headers=headers)
    found = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, model),
        "id": answer.id,
        "model": answer.model_name,
        "version": answer.model_version,
        "outputs": {output.name: output.as_numpy().tolist() for output in answer.outputs},
    }
    await client.close()
    return found


def main() -> None:
    """Read what to ask from a folder, ask, and write what came of it."""
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    question = json.loads((folder / "question.json").read_text())
    found = asyncio.run(ask(question["url"], question["model"], question["token"], question["rows"]))
    output.write_text(json.dumps({"cpu_seconds": 0.0, "memory_mb": 0.0, "found": found}))


if __name__ == "__main__":
    main()
