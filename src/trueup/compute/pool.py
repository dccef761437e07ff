"""How is one function run for many items? In this process, or in a pool of fresh ones, with the same result."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from trueup.kernel.errors import TrueupError

Item = TypeVar("Item")
Result = TypeVar("Result")
_GRACE_SECONDS = 5.0


class ComputeError(TrueupError):
    """Base of every error of this room."""

    code = "compute.error"


class NotSendable(ComputeError):
    """A function or item that cannot be sent to another process."""

    code = "compute.not-sendable"


class WorkerDied(ComputeError):
    """A worker process ended in the middle of an item."""

    code = "compute.worker-died"


class WorkerFailed(ComputeError):
    """A worker raised something that cannot be sent back as it is."""

    code = "compute.worker-failed"


def run_all(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int = 1,
    on_done: Callable[[int, Result], None] | None = None,
) -> list[Result]:
    """Return ``[function(item) for item in items]``.

    Parameters
    ----------
    function : callable
        With more than one worker: a top-level function, which other processes import by name.
    items : sequence
        With more than one worker: picklable.
    workers : int
        Processes at most, 1 or more; 1 runs in this process.
    on_done : callable, optional
        Called in this process with the position and the result of each item, as it is finished.

    Raises
    ------
    Exception
        What `function` raises first ends the others. With several workers also `NotSendable`, `WorkerDied` and
        `WorkerFailed`.

    Notes
    -----
    On Ctrl-C, or any error, all workers are ended before this returns; they also end when this process is killed.
    """
    if workers <= 1 or len(items) <= 1:
        return [_done(function(item), index, on_done) for index, item in enumerate(items)]
    tasks = [_sendable(function, item) for item in items]
    pool: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(min(workers, len(items))):
            pool.append(_start_worker())  # noqa: PERF401 - what was started before an error must be in the pool
        results = _gather(tasks, pool, on_done)
    except BaseException:
        _end(pool, at_once=True)
        raise
    _end(pool, at_once=False)
    return [results[index] for index in range(len(items))]


def run_stream(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 1) -> Iterator[Result]:
    """Yield ``function(item)`` for each of many items, in their order, holding no more than a few of them.

    Parameters
    ----------
    function : callable
        As for `run_all`.
    items : iterable
        Read as workers become free: at most two for each worker are waiting or done and not yet taken.
    workers : int
        Processes, 1 or more; 1 runs in this process.

    Raises
    ------
    Exception
        As `run_all`. When the caller stops early, or anything is raised, all workers are ended.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    pool: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(workers):
            pool.append(_start_worker())  # noqa: PERF401 - what was started before an error must be in the pool
        yield from _stream(function, enumerate(items), pool)
    except BaseException:
        _end(pool, at_once=True)
        raise
    _end(pool, at_once=False)


def _stream(
    function: Callable[[Any], Any], items: Iterator[tuple[int, Any]], pool: Sequence[tuple[BaseProcess, Connection]]
) -> Iterator[Any]:
    idle = [connection for _, connection in pool]
    process_of = {connection: process for process, connection in pool}
    busy: dict[Connection, int] = {}
    results: dict[int, Any] = {}
    wanted, more = 0, True
    while more or busy or results:
        while more and idle and len(busy) + len(results) < 2 * len(pool):
            following = next(items, None)
            more = following is not None
            if following is not None:
                index, item = following
                _give_next(idle[-1], {index: _sendable(function, item)}, [index], busy)
                idle.pop()
        if wanted in results:
            yield results.pop(wanted)
            wanted += 1
        elif busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                index = busy.pop(ready)
                results[index] = _received(ready, process_of[ready], index)
                idle.append(ready)


def _done(result: Result, index: int, on_done: Callable[[int, Result], None] | None) -> Result:
    if on_done:
        on_done(index, result)
    return result


def _sendable(function: Callable[[Any], Any], item: Any) -> bytes:
    try:
        return pickle.dumps((function, item))
    except (pickle.PicklingError, AttributeError, TypeError) as cause:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise NotSendable(
            f'"{name}" and its items cannot be sent to another process ({cause}); use a top-level function and plain '
            "records, or 1 worker",
            function=name,
        ) from cause


def _start_worker() -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _gather(
    tasks: Sequence[bytes],
    pool: Sequence[tuple[BaseProcess, Connection]],
    on_done: Callable[[int, Any], None] | None,
) -> dict[int, Any]:
    waiting = list(range(len(tasks)))
    busy: dict[Connection, int] = {}
    process_of = {connection: process for process, connection in pool}
    results: dict[int, Any] = {}
    for _, connection in pool:
        _give_next(connection, tasks, waiting, busy)
    while busy:
        for ready in wait(list(busy)):
            assert isinstance(ready, Connection)
            index = busy.pop(ready)
            results[index] = _done(_received(ready, process_of[ready], index), index, on_done)
            _give_next(ready, tasks, waiting, busy)
    return results


def _give_next(
    connection: Connection,
    tasks: Sequence[bytes] | Mapping[int, bytes],
    waiting: list[int],
    busy: dict[Connection, int],
) -> None:
    if waiting:
        index = waiting.pop(0)
        busy[connection] = index
        try:
            connection.send_bytes(tasks[index])
        except BrokenPipeError:
            # the worker is gone: reading its answer says so
            return


def _received(connection: Connection, process: BaseProcess, index: int) -> Any:
    try:
        # our own worker's answer, over a pipe nobody else has
        succeeded, value = pickle.loads(connection.recv_bytes())  # noqa: S301
    except (EOFError, ConnectionResetError) as cause:
        process.join(_GRACE_SECONDS)
        code = process.exitcode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        raise WorkerDied(
            f"A worker process {how} in the middle of item {index}; signal 9 often means that the machine ran out of "
            "memory: use fewer workers",
            item=index,
            exit_code=code,
        ) from cause
    if not succeeded:
        raise value
    return value


def _end(pool: Sequence[tuple[BaseProcess, Connection]], *, at_once: bool) -> None:
    for process, connection in pool:
        connection.close()
        if at_once:
            process.terminate()
    for process, _ in pool:
        process.join(_GRACE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def _work(connection: Connection) -> None:
    """Answer tasks until the other end closes."""
    import signal

    # Ctrl-C reaches the whole terminal group; the process that started the pool ends its workers itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_answer(task))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(task: bytes) -> bytes:
    try:
        function, item = pickle.loads(task)  # noqa: S301 - written by the process that started this one
        return pickle.dumps((True, function(item)))
    except Exception as error:  # noqa: BLE001 - the border of the process: the error crosses it
        return pickle.dumps((False, _as_sendable(error)))


def _as_sendable(error: Exception) -> Exception:
    """Return the error itself where a copy of it survives the way back, else one that says the same."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - whatever its own pickling raises
        copy = None
    if type(copy) is type(error) and str(copy) == str(error):
        return error
    facts = error.facts if isinstance(error, TrueupError) else {}
    failed = WorkerFailed(str(error) if isinstance(error, TrueupError) else f"{type(error).__name__}: {error}", **facts)
    failed.code = getattr(error, "code", failed.code)
    return failed
