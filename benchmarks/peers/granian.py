"""What does Granian take for a fixed answer? Its fastest interface, one worker, on a port."""

from __future__ import annotations

import sys
from typing import Any

ANSWER = (
    b'{"model_name":"m","model_version":"1","id":"0",'
    b'"outputs":[{"name":"p","shape":[1],"datatype":"FP64","data":[0.5]}]}'
)


async def app(scope: Any, protocol: Any) -> None:
    """Read the request and answer."""
    await protocol()
    protocol.response_bytes(200, [("content-type", "application/json")], ANSWER)


def main() -> None:
    """Serve until the end."""
    from granian.constants import Interfaces
    from granian.server import Server

    Server(
        "benchmarks.peers.granian:app",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.RSGI,
        workers=1,
    ).serve()


if __name__ == "__main__":
    main()
