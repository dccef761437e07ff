"""What would our server do without a log? Itself, with a recorder that writes nothing.

``python -m benchmarks.unlogged LAKE KEY SPOOL PORT``. Only to be measured against: what it answers is nowhere.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

from benchmarks.serving_model import PROJECT
from trueup.serve import server
from trueup.serve.recording import Recorder, Then
from trueup.serve.settings import ServerSettings


class Unlogged(Recorder):
    """Says at once that a record is written."""

    def record(self, frame: bytes, then: Then, *, rows: int = 1) -> None:
        """Throw the frame away."""
        self.counts.rows += rows
        then(None)


def unlogged(log: Any, *, loop: Any, clock: Any, **_: Any) -> Recorder:
    """Return the recorder in place of `make_recorder`'s."""
    return Unlogged(log, loop=loop, clock=clock)


def main() -> None:
    """Serve until the end."""
    lake, key, spool, port = sys.argv[1:]
    vars(server)["make_recorder"] = unlogged  # no option of the product: nobody should serve this way
    settings = ServerSettings(lake=lake, projects=(PROJECT,), spool=Path(spool), trusted_keys=(Path(key),))
    listening = socket.create_server(("127.0.0.1", int(port)), backlog=4096)
    listening.setblocking(False)
    server.run_server(settings, [listening], ready=lambda: None, say=print)


if __name__ == "__main__":
    main()
