"""What happens in the process that tries a fast predictor? It never held the model: one message in, one proof out.

Started by `proving.prove_apart`.
"""

from __future__ import annotations

import os
import sys

from trueup.bundle.trial import try_offer
from trueup.bundle.wire import receive, send


def main() -> None:
    """Try the offer of one message."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print; that is no answer
    message = receive(sys.stdin.buffer)
    if message is not None:
        send(answers, try_offer(*message))


if __name__ == "__main__":
    main()
