"""The process that holds a model can answer, and nothing else: no write, no program, no process, no network."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trueup.bundle.errors import ModelFailed, NoSandbox
from trueup.bundle.features import FeatureSpec
from trueup.bundle.sandbox import Limits, SandboxLevel
from trueup.bundle.scoring import ModelProcess
from trueup.kernel.digests import digest_of_bytes

ATTEMPTS = '''
import encodings.idna, os, pathlib, resource, socket, subprocess

HERE = pathlib.Path({here!r})


def connect():
    socket.create_connection(("127.0.0.1", {port}), timeout=5).close()


def send_udp():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {port}))


def connect_unix():
    socket.socket(socket.AF_UNIX).connect(str(HERE / "socket"))


def write():
    (HERE / "written").write_text("x")


def overwrite():
    (HERE / "precious").write_text("x")


def truncate():
    os.truncate(HERE / "precious", 0)


def rename():
    (HERE / "precious").rename(HERE / "stolen")


def remove():
    (HERE / "precious").unlink()


def link():
    os.link(HERE / "precious", HERE / "linked")


def make_folder():
    (HERE / "folder").mkdir()


def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def run_program():
    subprocess.run(["true"], check=True)


def become_program():
    os.posix_spawn("/bin/true", ["true"], {{}})


def signal_parent():
    os.kill(os.getppid(), 0)


def read_parents_memory():
    os.open(f"/proc/{{os.getppid()}}/mem", os.O_RDONLY)


def raise_the_limit():

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard + 2**20, hard + 2**20))
    assert resource.getrlimit(resource.RLIMIT_DATA)[1] != hard or hard == resource.RLIM_INFINITY


ALL = (connect, send_udp, connect_unix, write, overwrite, truncate, rename, remove, link, make_folder, fork,
       run_program, become_program, signal_parent, read_parents_memory)


def succeeded():
    """Return the names of the attempts that came through."""
    through = []
    for attempt in ALL:
        try:
            attempt()
        except (OSError, subprocess.SubprocessError, ValueError):
            continue
        through.append(attempt.__name__)
    return through
'''
CONFINED = """
import json, os, pathlib, sys
sys.path.insert(0, {here!r})
import attempts
from trueup.bundle.sandbox import Limits, enter_sandbox
if {unprivileged}:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
level = enter_sandbox(scratch=pathlib.Path({scratch!r}), limits=Limits())
through = attempts.succeeded()
try:
    attempts.raise_the_limit()
    through.append("raise_the_limit")
except (OSError, ValueError):
    pass
(pathlib.Path({scratch!r}) / "allowed").write_text("x")
print(json.dumps([through, level.facts()]))
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Give a folder with things to damage, ``attempts.py``, and a server to connect to."""
    place = tmp_path / "target"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    (place / "precious").write_text("kept")
    (place / "precious").chmod(0o666)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(place / "socket"))
        (place / "socket").chmod(0o777)
        unix.listen()
        (place / "attempts.py").write_text(ATTEMPTS.format(here=str(place), port=server.getsockname()[1]))
        yield place


def reachable(path: Path) -> None:
    """Let every account pass the folders above `path`."""
    for folder in path.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)


@pytest.mark.parametrize("unprivileged", [False, True])
def test_nothing_comes_through(target: Path, tmp_path: Path, unprivileged: bool) -> None:
    if unprivileged and os.getuid() != 0:
        pytest.skip("only an administrator can become another account")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    scratch.chmod(0o777)
    if unprivileged:
        reachable(scratch)
    script = CONFINED.format(here=str(target), scratch=str(scratch), unprivileged=unprivileged)

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    through, facts = json.loads(done.stdout)
    level = SandboxLevel.of(facts)
    assert level.holds, str(level)
    assert through == []
    assert (target / "precious").read_text() == "kept"
    assert sorted(p.name for p in target.iterdir() if p.name != "__pycache__") == ["attempts.py", "precious", "socket"]


def test_the_same_attempts_come_through_where_nothing_confines_them(target: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(target)!r}); import attempts; print(attempts.succeeded())"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert len(done.stdout.split(",")) >= 13, done.stdout


def model_folder(folder: Path, code: str) -> dict[str, Any]:
    """Write a bundle's code and a pickle of its ``Model``; return what `ModelProcess` is told about it."""
    (folder / "code").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "code" / "pipeline.py").write_text(code)
    (folder / "model" / "model.pkl").write_bytes(b"\x80\x04\x8c\x08pipeline\x8c\x05Model\x93)\x81.")
    paths = ("code/pipeline.py", "model/model.pkl")
    return {
        "files": {path: digest_of_bytes((folder / path).read_bytes()) for path in paths},
        "features": (FeatureSpec("amount", "number"),),
        "task": "regression",
        "n_classes": 2,
    }


MODEL = """
import numpy as np


class Model:
    def predict(self, frame):
        return np.full(len(frame), self.measure())

    def measure(self):
"""


def test_a_model_in_a_bundle_reaches_nothing(target: Path, tmp_path: Path) -> None:
    code = (target / "attempts.py").read_text() + MODEL + "        return float(len(succeeded()))\n"
    facts = model_folder(tmp_path / "bundle", code)

    with ModelProcess(tmp_path / "bundle", **facts) as process:
        assert process.score_requests(['{"amount":1.0}']) == [(0.0,)]
        assert process.sandbox.holds
    assert (target / "precious").read_text() == "kept"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux confines threads")
def test_no_thread_of_the_models_process_is_left_unconfined(tmp_path: Path) -> None:
    free = r"""
        from pathlib import Path
        told = [status.read_text() for status in Path("/proc/self/task").glob("*/status")]
        return float(sum("Seccomp:\t2" not in text or "NoNewPrivs:\t1" not in text for text in told))
"""
    facts = model_folder(tmp_path / "bundle", MODEL + free.lstrip("\n"))

    with ModelProcess(tmp_path / "bundle", **facts) as process:
        assert process.score_requests(['{"amount":1.0}']) == [(0.0,)]


def test_the_process_is_not_confined_beside_a_thread_that_would_stay_free(tmp_path: Path) -> None:
    program = (
        "import sys, threading; from pathlib import Path\n"
        "from trueup.bundle.sandbox import Limits, enter_sandbox\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "enter_sandbox(scratch=Path(sys.argv[1]), limits=Limits())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "a library started 1 threads before" in ran.stderr


def test_the_code_of_a_model_reaches_nothing_while_it_is_imported(target: Path, tmp_path: Path) -> None:
    code = (target / "attempts.py").read_text() + "\nFOUND = float(len(succeeded()))\n" + MODEL
    facts = model_folder(tmp_path / "bundle", code + "        return FOUND\n")

    with ModelProcess(tmp_path / "bundle", **facts) as process:
        assert process.score_requests(['{"amount":1.0}']) == [(0.0,)]


def test_a_model_that_wants_too_much_memory_is_told_so_and_the_next_request_is_answered(tmp_path: Path) -> None:
    code = MODEL + "        return 1.0\n"
    code = code.replace("self.measure())", "len(np.ones(int(frame.amount.max()) * 2**17)))")
    facts = model_folder(tmp_path / "bundle", code)

    with ModelProcess(tmp_path / "bundle", limits=Limits(memory_bytes=2**30), **facts) as process:
        assert process.score_requests(['{"amount":2000.0}', '{"amount":1.0}']) == [None, (131072.0,)]


def test_a_model_that_computes_for_ever_is_ended(tmp_path: Path) -> None:
    facts = model_folder(tmp_path / "bundle", MODEL + "        while True:\n            pass\n")

    with ModelProcess(tmp_path / "bundle", limits=Limits(cpu_seconds=1), **facts) as process:
        with pytest.raises(ModelFailed, match="more than the 1 s of processor time") as caught:
            process.score_requests(['{"amount":1.0}'])
        assert caught.value.facts["exit_code"] == -signal.SIGXCPU


def test_a_model_that_only_waits_is_ended_too(tmp_path: Path) -> None:
    code = MODEL + "        import threading\n        threading.Event().wait()\n"
    facts = model_folder(tmp_path / "bundle", code)

    with (
        ModelProcess(tmp_path / "bundle", limits=Limits(seconds=10), **facts) as process,
        pytest.raises(ModelFailed, match="no answer within 10 s"),
    ):
        process.score_requests(['{"amount":1.0}'])


def test_estimators_with_several_jobs_still_work(tmp_path: Path) -> None:
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pd.DataFrame({"amount": [0.0, 1.0, 2.0]})
    scaled = ColumnTransformer([("a", StandardScaler(), ["amount"]), ("b", StandardScaler(), ["amount"])], n_jobs=2)
    facts = model_folder(tmp_path / "bundle", "")
    model = pickle.dumps(make_pipeline(scaled, LinearRegression()).fit(frame, [1.0, 2.0, 3.0]))
    (tmp_path / "bundle" / "model" / "model.pkl").write_bytes(model)
    facts["files"]["model/model.pkl"] = digest_of_bytes(model)

    with ModelProcess(tmp_path / "bundle", **facts) as process:
        assert process.score_requests(['{"amount":1.0}']) == [pytest.approx((2.0,))]


WITHOUT_LANDLOCK = """
import ctypes, json, pathlib, struct, sys
from trueup.bundle.features import FeatureSpec
from trueup.bundle.errors import NoSandbox
from trueup.bundle.scoring import ModelProcess

# a kernel without Landlock answers its three calls (444 to 446) with ENOSYS
lines = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (6, 0, 0, 0x00050000 | 38), (6, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
head = ctypes.create_string_buffer(struct.pack("=H6xQ", len(lines), ctypes.addressof(program)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(head), 0, 0) == 0

facts = json.loads(sys.argv[2]) | {"features": (FeatureSpec("amount", "number"),)}
with ModelProcess(pathlib.Path(sys.argv[1]), **facts) as process:
    assert process.sandbox.landlock == 0
    assert process.score_requests(['{"amount":1.0}']) == [(1.0,)]
try:
    ModelProcess(pathlib.Path(sys.argv[1]), foreign=True, **facts)
except NoSandbox as error:
    print(error.message)
"""


def test_without_landlock_a_model_of_strangers_is_not_opened(tmp_path: Path) -> None:
    mark = tmp_path / "opened"
    code = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n" + MODEL + "        return 1.0\n"
    facts = model_folder(tmp_path / "bundle", code)
    told = json.dumps({name: value for name, value in facts.items() if name != "features"})

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LANDLOCK, str(tmp_path / "bundle"), told],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "not signed by a key that is trusted here" in done.stdout
    assert "files are not protected" in done.stdout


def test_a_level_says_in_words_what_holds() -> None:
    full = SandboxLevel(True, 6, True, True, True, 2**30)
    bare = SandboxLevel(False, 0, False, False, False, 2**30)

    assert str(full) == (
        "no writes and no programs (Landlock 6); no network; no new processes; at most 1024 MB of memory"
    )
    assert str(bare).startswith("files are not protected; network is open; new processes are possible")
    assert (full.holds, bare.holds) == (True, False)
    assert SandboxLevel.of(full.facts()) == full


def test_the_error_of_a_missing_sandbox_has_its_own_code() -> None:
    assert NoSandbox.code == "bundle.no-sandbox"
