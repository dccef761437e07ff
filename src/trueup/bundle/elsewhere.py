"""How does a bundle answer that needs another environment than this one? In a process of that environment."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from trueup.bundle.errors import BundleError, BundleRefused, ModelFailed, RowBreaksSchema
from trueup.bundle.golden import Output
from trueup.bundle.scoring import child_environment
from trueup.bundle.wire import at_most, receive, send

_PROGRAM = "from trueup.bundle.elsewhere_process import run; run()"
_GRACE_SECONDS = 5.0
_TOLD = 2_000


class Elsewhere:
    """A bundle that was verified and replayed by an interpreter of its own environment, and answers there.

    Parameters
    ----------
    interpreter : Path
        Python of that environment, with Trueup in it (`recreation`).
    folder : Path
        The bundle.
    trusted_keys : sequence of Path
    today : date, optional
        As `loading.open_bundle` takes them.
    seconds : float
        The longest that an answer may take; then the process is ended.

    Raises
    ------
    BundleRefused
        The golden rows do not reproduce there either, or the bundle is not what its signature says.
    ModelFailed
        The process did not start.
    """

    def __init__(
        self,
        interpreter: Path,
        folder: Path,
        *,
        trusted_keys: Sequence[Path],
        today: date | None = None,
        seconds: float = 600.0,
    ) -> None:
        self._answer_seconds = seconds
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        inherited = child_environment()
        inherited.pop("PYTHONPATH", None)
        self._child = subprocess.Popen(  # noqa: S603  # an interpreter that we installed
            [str(interpreter), "-I", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=inherited,
            start_new_session=True,
        )
        head = {
            "folder": str(folder.resolve()),
            "trusted": [str(key.resolve()) for key in trusted_keys],
            "today": today.isoformat() if today else None,
        }
        try:
            self._ask(head, (), seconds=seconds)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        """Return whether the process is dead, however it died. May be asked by any thread."""
        return self._child.poll() is not None

    def answer_within(self, seconds: float) -> None:
        """End the process, and the one that holds its model, where an answer takes longer from now on."""
        self._answer_seconds = seconds

    def end(self) -> None:
        """Kill the process; who waits for its answer is told. May be called by any thread."""
        self._child.kill()

    def score_requests(self, requests: Sequence[str]) -> list[Output]:
        """Return one output for each request (a JSON object on one line); None where the model refuses the row.

        Raises
        ------
        RowBreaksSchema
            When a request lacks a feature or has a value of the wrong type.
        ModelFailed
            When the process failed or ended.
        """
        # it ends its model's process itself, and is ended only where it does not come to that
        seconds = self._answer_seconds
        outputs = self._ask({"seconds": seconds}, requests, seconds=seconds + _GRACE_SECONDS)["outputs"]
        return [None if output is None else tuple(float.fromhex(number) for number in output) for output in outputs]

    def close(self) -> None:
        """End the process. May be called twice."""
        if self._child.stdin is not None:
            try:
                self._child.stdin.close()
            except BrokenPipeError:
                self._child.kill()
        try:
            self._child.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._log.close()

    def _ask(self, head: dict[str, Any], requests: Sequence[str], *, seconds: float) -> dict[str, Any]:
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise ModelFailed("the process of the bundle's environment is closed; open the bundle again")
        try:
            with at_most(seconds, self._child.kill):
                send(stdin, head, "\n".join(requests).encode())
                answer = receive(stdout)
        except BrokenPipeError:
            answer = None
        except BaseException:
            self._child.kill()  # interrupted in the middle of a message: the next answer would be the wrong one
            raise
        if answer is None:
            raise ModelFailed(f"the process of the bundle's environment ended: {self._last_words()}")
        document = answer[0]
        if "error" in document:
            kinds = {"refused": BundleRefused, "row": RowBreaksSchema}
            raise kinds.get(document["error"], BundleError)(document["message"], **document.get("facts", {}))
        return document

    def _last_words(self) -> str:
        try:
            self._child.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # it goes on, but says nothing that can be read
            self._child.kill()
            self._child.wait()
        self._log.seek(0)
        lines = self._log.read()[-_TOLD:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._child.returncode}"
