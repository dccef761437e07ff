from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trueup.compute.pool import NotSendable, WorkerDied, WorkerFailed, run_all, run_stream
from trueup.kernel.errors import Mistake, Mistakes, TrueupError


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import the functions of this file by name."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def square(number: int) -> int:
    return number * number


def process_of(_: int) -> int:
    return os.getpid()


def fail(number: int) -> int:
    if number == 1:
        raise TrueupError("The number 1 is not allowed; use 2", seen=1)
    return number


def fail_with_mistakes(_: int) -> int:
    raise Mistakes([Mistake("trueup.toml: data.label", "missing")])


def die(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_are_in_the_order_of_the_items(workers: int) -> None:
    assert run_all(square, [3, 1, 2], workers=workers) == [9, 1, 4]


def test_no_items_give_no_results() -> None:
    assert run_all(square, [], workers=2) == []


def test_one_worker_is_this_process_and_more_are_not() -> None:
    assert run_all(process_of, [0, 1], workers=1) == [os.getpid()] * 2
    assert os.getpid() not in run_all(process_of, [0, 1], workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_finished_item_is_told_once(workers: int) -> None:
    told: dict[int, int] = {}
    run_all(square, [1, 2, 3], workers=workers, on_done=told.__setitem__)
    assert told == {0: 1, 1: 4, 2: 9}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_back_with_its_facts(workers: int) -> None:
    with pytest.raises(TrueupError, match="number 1 is not allowed") as failed:
        run_all(fail, [0, 1], workers=workers)
    assert failed.value.facts == {"seen": 1}


def test_an_error_that_cannot_be_copied_keeps_its_words_and_code() -> None:
    with pytest.raises(WorkerFailed, match=r"data\.label: missing") as failed:
        run_all(fail_with_mistakes, [0, 1], workers=2)
    assert failed.value.code == "kernel.mistakes"


def test_a_dead_worker_is_reported() -> None:
    with pytest.raises(WorkerDied, match="signal 9 in the middle of item 1"):
        run_all(die, [0, 1], workers=2)


def test_a_function_without_a_name_cannot_be_sent() -> None:
    with pytest.raises(NotSendable, match="top-level function"):
        run_all(lambda number: number, [1, 2], workers=2)


SCRIPT = """
import os, sys, threading
from pathlib import Path
from trueup.compute.pool import run_all

def stuck(path):
    with open(path, "w") as pipe:
        pipe.write(str(os.getpid()))
    threading.Event().wait()

if __name__ == "__main__":
    run_all(stuck, sys.argv[1:], workers=2)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    pipes = [tmp_path / "a", tmp_path / "b"]
    for pipe in pipes:
        os.mkfifo(pipe)
    command = [sys.executable, str(tmp_path / "script.py"), *map(str, pipes)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as parent:
        workers = [os.pidfd_open(int(pipe.read_text())) for pipe in pipes]
        parent.send_signal(how)
        for worker in workers:
            ended = threading.Thread(target=_wait, args=(worker,))
            ended.start()
            ended.join(60)
            assert not ended.is_alive()
            os.close(worker)
    assert parent.returncode == -how


def _wait(process: int) -> None:
    import select

    select.select([process], [], [])


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_stream_of_results_is_in_the_order_of_the_items(workers: int) -> None:
    assert list(run_stream(square, iter(range(20)), workers=workers)) == [number**2 for number in range(20)]


def test_a_stream_reads_no_further_ahead_than_two_items_a_worker() -> None:
    read = []

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    stream = run_stream(square, items(), workers=2)
    assert [next(stream) for _ in range(3)] == [0, 1, 4]
    assert len(read) <= 3 + 4
    stream.close()  # type: ignore[attr-defined]  # it is a generator


def test_an_error_in_a_stream_ends_it() -> None:
    with pytest.raises(TrueupError, match="use 2"):
        list(run_stream(fail, iter([0, 1, 2, 3]), workers=2))


def test_a_worker_that_dies_in_a_stream_is_said() -> None:
    with pytest.raises(WorkerDied, match="signal 9"):
        list(run_stream(die, iter([0, 1, 2, 3]), workers=2))
