"""Somebody between a client and a server, who may lose an answer on the way back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

Exchange = tuple[bytes, bytes]


class Between:
    """Hands requests on to a port, one at a time, and answers back; `loses` decides which answers are lost."""

    def __init__(self, port: int, *, loses: Callable[[int], bool]) -> None:
        self.port = port
        self.requests: list[bytes] = []
        self._loses = loses
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _run(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            with caller:
                request = _message(caller)
                if not request:
                    continue
                self.requests.append(request)
                with socket.create_connection(("127.0.0.1", self.port)) as server:
                    server.sendall(request)
                    answer = _message(server)
                if not self._loses(len(self.requests)):
                    caller.sendall(answer.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))


def _message(connection: socket.socket) -> bytes:
    """Return one message with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
