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
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from trueup.lake.ended_servers import Retiring
from trueup.lake.errors import LakeError
from trueup.lake.sealing import Sealer, SealingElsewhere, remove_unnamed, sealing_alone
from trueup.lake.stores import open_store, options_in
from trueup.lake.told_output import tell_into

ELSEWHERE = 3
"""Exit code where another process sealed the folder all the time."""
Tell = Callable[[dict[str, object]], None]


def _nothing() -> None:
    """Do nothing beside sealing."""


def keep_sealing(
    sealer: Sealer, *, passes: Iterator[object], tell: Tell, beside: Callable[[], object] = _nothing
) -> None:
    """Seal once for each of `passes`; tell what was sealed, what waits, and when the lake is gone or back.

    Each time `beside` is called too, for what the lake needs now and then. A lake that does not answer, or a disk that
    fails, ends nothing: the segments stay, and the next pass tries again. What fails in `beside` is told once, too.
    """
    problem = beside_problem = ""
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
        try:
            beside()
        except LakeError as error:
            if error.message != beside_problem:
                tell({"beside": error.message, "code": error.code})
            beside_problem = error.message
        else:
            if beside_problem:
                tell({"beside": None})
            beside_problem = ""


def _told_of(error: Exception) -> dict[str, object]:
    if isinstance(error, LakeError):
        return {"problem": error.message, "code": error.code}
    detail = error.strerror if isinstance(error, OSError) else None
    return {
        "problem": f"{type(error).__name__} while sealing" + (f": {detail}" if detail else ""),
        "code": LakeError.code,
    }


def _clock() -> int:
    return time.time_ns() // 1000


def _passes(seconds: float, ended: threading.Event) -> Iterator[None]:
    """Yield at once and then every few seconds, and once more when the process should end."""
    while not ended.is_set():
        yield
        ended.wait(seconds)
    yield


def _telling(file: Path | None) -> Tell:
    def tell(facts: dict[str, object]) -> None:
        with suppress(OSError):  # a full disk is no reason to seal no more
            if file is not None:
                tell_into(file)
            print(json.dumps(facts), flush=True)  # noqa: T201  # read by whoever started the process

    return tell


def _end_with_stdin(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


def _seal_alone(seal: Callable[[], None], hot: Path, *, tell: Tell, seconds: float, ended: threading.Event) -> int:
    """Seal as soon as nobody else does: a batch run's process, or a server's, goes before this one."""
    told = False
    while True:
        try:
            with sealing_alone(hot):
                remove_unnamed(hot)
                seal()
            return 0
        except SealingElsewhere as error:
            if not told:
                tell({"problem": error.message, "code": error.code})
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
    parser.add_argument("--log", type=Path, help="file to tell into, begun anew when it is large; else standard output")
    parser.add_argument("--begun", action="store_true", help="never begin a lake: one without content is away")
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input ends")
    chosen = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # whoever started us may have kept one waiting
    options = options_in(os.environ)
    store = open_store(chosen.lake, options=options, begun=chosen.begun)
    sealer = Sealer(store, chosen.project, hot=chosen.hot, clock=_clock)
    if chosen.with_stdin:
        threading.Thread(target=_end_with_stdin, args=(ended,), daemon=True).start()
    tell, retiring = _telling(chosen.log), Retiring(store, chosen.project, clock=_clock)

    def seal() -> None:
        keep_sealing(sealer, passes=_passes(chosen.seconds, ended), tell=tell, beside=retiring.look)

    return _seal_alone(seal, chosen.hot, tell=tell, seconds=chosen.seconds, ended=ended)


if __name__ == "__main__":
    sys.exit(main())
