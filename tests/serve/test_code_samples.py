"""Does the code that a server gives to copy run, as it is, against that server?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.serve.conftest import TOKEN, ServedLake
from tests.serve.running import serving

from trueup.serve.code_samples import URL, code_samples

Run = Callable[[str], list[str]]
LANGUAGES: Mapping[str, tuple[str, Run]] = {
    "curl": (
        "curl",
        lambda source: ["bash", "-c", "set -e\n" + source.replace("curl -sS", "curl --fail-with-body -sS")],
    ),
    "Python": (sys.executable, lambda source: [sys.executable, "-c", source]),
    "JavaScript": ("node", lambda source: ["node", "-e", source]),
}


def ran(language: str, source: str, url: str) -> str:
    """Return what samples printed, with nothing changed but where the server is."""
    command = LANGUAGES[language][1](source.replace(URL, url))
    environment = {**os.environ, "TOKEN": TOKEN}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, (source, ended.stdout, ended.stderr)
    return ended.stdout


def test_every_sample_of_every_endpoint_runs_as_it_is_copied(served_lake: ServedLake, tmp_path: Path) -> None:
    key = ("--trust", str(served_lake.trusted[0]))
    with serving(served_lake.store.folder, *key, spool=tmp_path / "spool", token=TOKEN) as server:
        document: dict[str, Any] = server.client.get("/openapi.json").json()
        rows = document["paths"][f"/predict/{served_lake.project}"]["post"]["requestBody"]["content"][
            "application/json"
        ]
        assert rows["example"]["rows"][0]["happened"] == "2026-03-01T10:00:00", "a time where a time is meant"
        samples = [
            {sample["lang"]: sample["source"] for sample in what["x-codeSamples"]}
            for methods in document["paths"].values()
            for what in methods.values()
        ]
        assert len(samples) == 15
        told = {}
        for language, (program, _) in LANGUAGES.items():
            if shutil.which(program) is None:
                continue
            told[language] = ran(language, "\n".join(sample[language] for sample in samples), server.url)
    for text in told.values():
        assert f'"{served_lake.old}"' in text or f"'{served_lake.old}'" in text
        assert "trueup_predictions_served_total" in text
        assert '{"error":"' not in text
    assert {"curl", "Python"} <= set(told)


def test_quotes_in_a_value_break_no_shell_and_no_script() -> None:
    body = {"rows": [{"name": 'it\'s "quoted" $HOME `x`'}]}
    curl, _, script = (
        sample["source"] for sample in code_samples("POST", "/predict/p", body, token=False, python="client.health()")
    )
    said = subprocess.run(
        ["bash", "-c", curl.replace("curl ", "printf '%s\\n' ", 1)], capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout.splitlines()[-2]) == body
    assert json.dumps(body) in script
