"""A bundle runs in the environment of its lock, proved there first; a wrong lock is refused before anything runs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from trueup.cli.main import main

Folder = Callable[[str], Path]
Signed = Callable[..., str]
TOOLS = Path(__file__).parents[3] / ".tools" / "bin"


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return uv, with environments kept in a folder of the test, and packages where they always are."""
    monkeypatch.setenv("PATH", f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    found = shutil.which("uv")
    if found is None:
        pytest.skip("uv is missing")
    cache = subprocess.run([found, "cache", "dir"], capture_output=True, check=True, text=True).stdout.strip()
    monkeypatch.setenv("UV_CACHE_DIR", cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return exit code and document of a run."""
    capsys.readouterr()
    code = main(["bundle", "run", *arguments, "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def older(uv: str, name: str) -> str:
    """Return the lock line of the version before the installed one; skip where no index answers."""
    wanted = f"{name}<{importlib.metadata.version(name)}"
    command = [uv, "pip", "compile", "-", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", "--no-deps"]
    ran = subprocess.run(command, input=wanted, capture_output=True, check=False, text=True)
    if ran.returncode != 0:
        pytest.skip("no package index answers")
    return re.sub(r"\s*\\\n\s*", " ", ran.stdout).strip()


def relock(folder: Path, name: str, line: str) -> None:
    """Replace the line of a distribution in a bundle's lock."""
    lock = (folder / "environment.lock").read_text()
    changed = re.sub(rf"^{name}==.*$", lambda _: line, lock, flags=re.MULTILINE)
    assert changed != lock
    (folder / "environment.lock").write_text(changed)


def test_a_bundle_answers_in_place_with_a_certificate(
    project: Path, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.DataFrame({"case_id": ["x", "y"], "amount": [3.0, -3.0], "age": [30.0, 30.0]})
    rows.to_parquet(tmp_path / "rows.parquet")
    files = ["--input", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "out.parquet")]

    code, told = run(capsys, first, "--in-place", *files, "--project", str(project))

    assert (code, told["rows"], told["differences"]) == (0, 2, [])
    assert told["certificate"]["differing"] == 0
    answers = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["case_id"] for row in answers] == ["x", "y"]
    assert answers[0]["score"] > 0.5 > answers[1]["score"]


def test_another_environment_is_made_proved_and_left_apart_from_this_one(
    project: Path,
    first: str,
    folder_of: Folder,
    signed_again: Signed,
    uv: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = importlib.metadata.version("msgspec")
    line = older(uv, "msgspec")
    relock(folder_of(first), "msgspec", line)
    digest = signed_again(folder_of(first))

    code, told = run(capsys, digest[:8], "--project", str(project))

    assert code == 0, told
    assert told["differences"] == []
    assert (told["certificate"]["bundle"], told["certificate"]["differing"]) == (digest, 0)
    interpreter = Path(told["environment"]) / "bin" / "python"
    asked = [str(interpreter), "-I", "-c", "import msgspec, trueup; print(msgspec.__version__, trueup.__file__)"]
    version, place = subprocess.run(asked, capture_output=True, check=True, text=True).stdout.split()
    assert line.startswith(f"msgspec=={version} ")
    assert version != here == importlib.metadata.version("msgspec")
    assert place.startswith(told["environment"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"msgspec=={importlib.metadata.version('msgspec')} --hash=sha256:{'0' * 64}", "another hash"),
        (f"msgspec==0.0.0.1 --hash=sha256:{'0' * 64}", "no such file"),
        (f"msgspec=={importlib.metadata.version('msgspec')}", "have no hash"),
    ],
)
def test_a_wrong_lock_is_refused_with_the_reason_and_nothing_of_the_bundle_runs(
    project: Path,
    first: str,
    folder_of: Folder,
    signed_again: Signed,
    uv: str,
    line: str,
    told: str,
    watch: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    older(uv, "msgspec")
    relock(folder_of(first), "msgspec", line)
    digest = signed_again(folder_of(first))
    watch.clear()

    code, document = run(capsys, digest[:8], "--project", str(project))

    assert (code, document["error"]["code"]) == (1, "bundle.lock-refused"), document
    assert told in document["error"]["message"]
    # the installer alone was started, and nothing unpickled
    assert [event for event in watch if not event.startswith(f"subprocess.Popen ('{uv}'")] == []
    assert not list((folder_of(digest) / "evidence").glob("ready"))


@pytest.mark.usefixtures("nothing_runs")
def test_a_damaged_bundle_makes_no_environment(
    project: Path, first: str, folder_of: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (folder_of(first) / "environment.lock").write_text("numpy==1\n")

    assert main(["bundle", "run", first, "--project", str(project)]) == 1
    assert not (tmp_path / "cache").exists()


def test_input_and_output_go_together(project: Path, first: str) -> None:
    assert main(["bundle", "run", first, "--input", "rows.csv", "--project", str(project)]) == 2
