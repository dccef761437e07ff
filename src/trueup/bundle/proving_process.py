"""What happens in the process that tries a fast predictor? It never held the model: one message in, one proof out.

It confines itself first: what it opens came out of a process that ran foreign code. Started by `proving.prove_apart`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from trueup.bundle.errors import NoSandbox
from trueup.bundle.sandbox import Limits, allow_cpu_time, enter_sandbox
from trueup.bundle.trial import try_offer
from trueup.bundle.wire import receive, send


def main() -> None:
    """Try the offer of one message."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print; that is no answer
    message = receive(sys.stdin.buffer)
    if message is not None:
        send(answers, _confined(*message))


def _confined(head: dict[str, Any], body: bytes) -> dict[str, Any]:
    limits = Limits()
    try:
        enter_sandbox(scratch=Path(head["scratch"]), limits=limits)
    except NoSandbox as error:
        return {"failed": error.message}
    allow_cpu_time(limits.cpu_seconds)
    return try_offer(head, body)


if __name__ == "__main__":
    main()
