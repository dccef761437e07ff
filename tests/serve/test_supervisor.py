"""The server's processes are kept running, end when told, and never outlive who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trueup.lake.told_output import MOST_BYTES

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from trueup.serve.supervisor import FAILED, Companion, Supervisor

folder = Path(sys.argv[1])

def worker(number):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    (folder / f"worker-{number}-{os.getpid()}").touch()
    if sys.argv[2] == "hopeless":
        return FAILED
    if sys.argv[2] == "raises" and len(list(folder.glob(f"worker-{number}-*"))) == 1:
        raise OSError("the disk is away")
    if sys.argv[2] == "late" and len(list(folder.glob("worker-*"))) > 2:
        if len(list(folder.glob("worker-*"))) == 3:
            return FAILED
    if sys.argv[2] == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while not stop:
        signal.pause() if sys.argv[2] != "stubborn" else time.sleep(60)
    (folder / f"ended-{os.getpid()}").touch()
    return 0

program = "import signal, sys; open(sys.argv[1], 'w').close(); signal.pause()"
command = (sys.executable, "-c", program, str(folder / "companion-runs"))
companion = Companion("companion", command, folder / "companion.log")
sys.exit(Supervisor(
    worker, 2, companions=[companion],
    grace_seconds=float(sys.argv[3]), say=lambda text: print(text, flush=True),
).run())
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[2]) for path in folder.glob("worker-*"))


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started = []

    def run(kind: str = "usual", *, grace: float = 30) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), kind, str(grace)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_a_worker_that_is_killed_is_started_again(start: Start, tmp_path: Path) -> None:
    process = start()
    until(lambda: len(workers(tmp_path)) == 2)
    os.kill(workers(tmp_path)[0], signal.SIGKILL)
    until(lambda: len(workers(tmp_path)) == 3)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert "was ended by signal 9; it is started again" in said


def test_a_full_file_of_what_a_companion_said_is_begun_anew(start: Start, tmp_path: Path) -> None:
    (tmp_path / "companion.log").write_bytes(b"x" * MOST_BYTES)
    process = start()
    until((tmp_path / "companion-runs").exists)
    assert (tmp_path / "companion.log").stat().st_size == 0
    assert (tmp_path / "companion.log.1").stat().st_size == MOST_BYTES
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_lets_its_workers_finish_and_ends_well(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start()
    until(lambda: len(workers(tmp_path)) == 2 and (tmp_path / "companion-runs").exists())
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(list(tmp_path.glob("ended-*"))) == 2


def test_a_worker_that_does_not_end_in_time_is_killed(start: Start, tmp_path: Path) -> None:
    process = start("stubborn", grace=0.2)
    until(lambda: len(workers(tmp_path)) == 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert not any(is_alive(pid) for pid in workers(tmp_path))


def test_workers_that_cannot_start_are_not_started_for_ever(start: Start, tmp_path: Path) -> None:
    process = start("hopeless")
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert len(workers(tmp_path)) == 2


def test_a_worker_that_ends_by_an_error_says_so_and_is_started_again(start: Start, tmp_path: Path) -> None:
    process = start("raises")
    until(lambda: len(workers(tmp_path)) == 4)
    process.send_signal(signal.SIGTERM)
    said, told = process.communicate(timeout=60)
    assert "ended with code 1; it is started again" in said
    assert "the disk is away" in told


def test_a_worker_that_ran_once_is_started_again_whatever_it_ends_with(start: Start, tmp_path: Path) -> None:
    process = start("late")
    until(lambda: len(workers(tmp_path)) == 2)
    os.kill(workers(tmp_path)[0], signal.SIGKILL)
    until(lambda: len(workers(tmp_path)) >= 4)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_workers_go_on_when_nobody_reads_what_is_said(start: Start, tmp_path: Path) -> None:
    process = start()
    until(lambda: len(workers(tmp_path)) == 2)
    assert process.stdout is not None
    process.stdout.close()
    os.kill(workers(tmp_path)[0], signal.SIGKILL)
    until(lambda: len(workers(tmp_path)) == 3)
    assert process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_killed_it_leaves_no_worker_behind(start: Start, tmp_path: Path) -> None:
    process = start()
    until(lambda: len(workers(tmp_path)) == 2)
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not any(is_alive(pid) for pid in workers(tmp_path)))
