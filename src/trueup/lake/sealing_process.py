"""Who seals the log of a host? One process beside the servers: ``python -m trueup.lake.sealing_process``.

It seals what is finished every few seconds, goes on when the lake is gone, and catches up when it is back. SIGTERM ends
it after the pass it is in and a last one; so does, with ``--with-stdin``, the end of standard input: whoever started it
is done or dead. What it does is told on standard output, a JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from trueup.lake.errors import LakeError
from trueup.lake.sealing import Sealer, SealingElsewhere, remove_unnamed, sealing_alone
from trueup.lake.stores import open_store, options_in

ELSEWHERE = 3
"""Exit code where another process sealed the folder all the time."""
Tell = Callable[[dict[str, object]], None]


def keep_sealing(sealer: Sealer, *, passes: Iterator[object], tell: Tell) -> None:
    """Seal once for each of `passes`; tell what was sealed, what waits, and when the lake is gone or back.

    A lake that does not answer, or a disk that fails, ends nothing: the segments stay, and the next pass tries again.
    """
    problem = ""
    waiting: dict[str, str] = {}
    for _ in passes:
        try:
            sealed = sealer.seal_finished()
        except Exception as error:  # noqa: BLE001  # the process's boundary: told, and tried again
            found = _told_of(error)
            if found["problem"] != problem:
                tell(found)
            problem = str(found["problem"])
            continue
        if problem:
            tell({"problem": None})
            problem = ""
        if sealed.segments or sealed.waiting != waiting:
            tell(asdict(sealed))
        waiting = sealed.waiting


def _told_of(error: Exception) -> dict[str, object]:
    if isinstance(error, LakeError):
        return {"problem": error.message, "code": error.code}
    detail = error.strerror if isinstance(error, OSError) else None
    return {
        "problem": f"{type(error).__name__} while sealing" + (f": {detail}" if detail else ""),
        "code": LakeError.code,
    }


def _passes(seconds: float, ended: threading.Event) -> Iterator[None]:
    """Yield at once and then every few seconds, and once more when the process should end."""
    while not ended.is_set():
        yield
        ended.wait(seconds)
    yield


def _tell(facts: dict[str, object]) -> None:
    print(json.dumps(facts), flush=True)  # noqa: T201  # read by whoever started the process


def _end_with_stdin(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


def _seal_alone(sealer: Sealer, hot: Path, *, seconds: float, ended: threading.Event) -> int:
    """Seal as soon as nobody else does: a batch run's process, or a server's, goes before this one."""
    told = False
    while True:
        try:
            with sealing_alone(hot):
                remove_unnamed(hot)
                keep_sealing(sealer, passes=_passes(seconds, ended), tell=_tell)
            return 0
        except SealingElsewhere as error:
            if not told:
                _tell({"problem": error.message, "code": error.code})
            told = True
            if ended.is_set():
                return ELSEWHERE
            ended.wait(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Seal until SIGTERM, or the end of standard input; return `ELSEWHERE` where another process did all the time."""
    parser = argparse.ArgumentParser(prog="python -m trueup.lake.sealing_process", description=__doc__)
    parser.add_argument("--lake", required=True, help="folder or URL of the lake; AWS_* of the environment for s3:")
    parser.add_argument("--project", required=True)
    parser.add_argument("--hot", required=True, type=Path, help="folder in which the servers write their segments")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two passes")
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input ends")
    chosen = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # whoever started us may have kept one waiting
    options = options_in(os.environ)
    store = open_store(chosen.lake, options=options)
    sealer = Sealer(store, chosen.project, hot=chosen.hot, clock=lambda: time.time_ns() // 1000)
    if chosen.with_stdin:
        threading.Thread(target=_end_with_stdin, args=(ended,), daemon=True).start()
    return _seal_alone(sealer, chosen.hot, seconds=chosen.seconds, ended=ended)


if __name__ == "__main__":
    sys.exit(main())
