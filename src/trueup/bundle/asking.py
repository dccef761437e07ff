"""What does a process answer that is asked once? It is ended right after, whatever it does then."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueup.bundle.wire import MOST_ANSWER_BYTES, at_most, receive, send

_GRACE_SECONDS = 5.0
"""For a process that gave no answer to end by itself, so that its exit code can be told."""


@dataclass(frozen=True)
class Asked:
    """How asking ended."""

    answer: tuple[dict[str, Any], bytes] | None
    """None where the process gave none, or something else than a message."""
    code: int
    """Its exit code; negative: the signal that ended it."""
    late: bool
    """Whether it was ended because the time was over."""

    @property
    def how_it_ended(self) -> str:
        """Return in words how a process ended that gave no answer."""
        return f"signal {-self.code}" if self.code < 0 else f"code {self.code}"


def ask_once(
    module: str,
    head: dict[str, Any],
    body: bytes = b"",
    *,
    environment: Mapping[str, str],
    seconds: float,
    most_bytes: int = MOST_ANSWER_BYTES,
) -> Asked:
    """Start ``python -m module``, send it one message, and return its answer.

    Parameters
    ----------
    module : str
        It reads one message from its standard input and writes one to its standard output.
    head, body : dict and bytes
        The message.
    environment : mapping
        Its variables.
    seconds : float
        Time it has.
    most_bytes : int
        Longest body of an answer that is read.

    Notes
    -----
    A process that answers with something else, or closes its pipe, and then waits is ended too.
    """
    late = False

    def end_late() -> None:
        nonlocal late
        late = True
        child.kill()

    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(  # noqa: S603  # a module of ours
            [sys.executable, "-P", "-m", module],  # -P: nothing is imported from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(environment),
            start_new_session=True,
        )
        answer = None
        try:
            with at_most(seconds, end_late):
                answer = _exchanged(child, head, body, most_bytes=most_bytes)
                if answer is None:
                    child.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            answer = None
        finally:
            child.kill()
            _close(child)
    return Asked(answer, child.returncode, late)


def _exchanged(
    child: subprocess.Popen[bytes], head: dict[str, Any], body: bytes, *, most_bytes: int
) -> tuple[dict[str, Any], bytes] | None:
    if child.stdin is None or child.stdout is None:
        return None
    try:
        send(child.stdin, head, body)
    except BrokenPipeError:
        return None
    return receive(child.stdout, most_bytes=most_bytes)


def _close(child: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process that was ended, and wait for it."""
    for stream in (child.stdin, child.stdout):
        try:
            if stream is not None:
                stream.close()
        except BrokenPipeError:
            continue  # what it did not read is of no use
    child.wait()
