"""How does a process take HTTP requests: from which sockets, until when, and how does it stop without losing one?"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence

from trueup.serve.http_connection import Connection
from trueup.serve.http_exchange import Exchange, Unwatched, Watcher
from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Handler
from trueup.serve.http_writing import AnswerWriter

_BACKLOG = 4096
_SWEEP_S = 1.0
_HANDSHAKE_S = 10.0
_QUIET_S = 1.0
"""How long a stopping front waits for a request on a connection that asks nothing."""


class Front:
    """Takes requests for a handler.

    Parameters
    ----------
    handler : callable
        Gets every request that is whole and taken; see `http_messages.Handler`. What it raises is told to the watcher.
    limits : FrontLimits
        What is refused.
    watcher : Watcher, optional
        Is told of answers, refusals and failures.
    clock : callable, optional
        Seconds that never go back, on the scale of the loop's own clock.
    wall_clock : callable, optional
        Seconds since 1970, for the Date header.
    turn_began : callable, optional
        Given the time now, when the loop's present turn began, both in seconds of `clock`; by default it is noted.

    Notes
    -----
    One thread: the loop's. Time limits are looked at once a second, by `expire`.
    """

    def __init__(
        self,
        handler: Handler,
        limits: FrontLimits,
        *,
        watcher: Watcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        turn_began: Callable[[float], float] | None = None,
    ) -> None:
        self._wall_clock = wall_clock
        self._clock = clock
        self._writer = AnswerWriter(wall_clock())
        self._exchange = Exchange(
            handler,
            limits,
            watcher=watcher or Unwatched(),
            clock=clock,
            turn_began=turn_began,
            writer=self._writer,
        )
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """How many requests are taken and not answered yet."""
        return self._exchange.admission.in_flight

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._exchange.connections)

    async def start(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Take requests from sockets that are bound, with TLS when a context is given.

        The sockets stay the caller's, who may share them with other processes: the front listens on duplicates.
        """
        loop = asyncio.get_running_loop()
        for given in sockets:
            own = given.dup()
            self._sockets.append(own)
            self._servers.append(
                await loop.create_server(
                    lambda: Connection(self._exchange),
                    sock=own,
                    backlog=_BACKLOG,
                    ssl=tls,
                    ssl_handshake_timeout=_HANDSHAKE_S if tls else None,
                )
            )
        self._sweep = loop.call_later(_SWEEP_S, self._sweep_again)

    async def stop(self, grace_s: float) -> int:
        """Take no more connections, answer what is asked on those there are, and close them.

        A connection is told with its next answer that it was the last. One that asks nothing is closed after a second,
        time enough for a request that was under way when it began; one whose answer is not ready is closed when
        `grace_s` seconds are over.

        Returns
        -------
        int
            Requests that were left without an answer.
        """
        began = self._clock()
        ends, quiet_ends = began + grace_s, began + _QUIET_S
        self._exchange.draining = True
        while self._is_someone_waiting() and self._clock() < ends:
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        while self._exchange.connections and self._clock() < ends:
            if self._clock() >= quiet_ends:
                for connection in list(self._exchange.connections):
                    connection.close_if_quiet()
            await asyncio.sleep(0.01)
        unanswered = self.in_flight
        for connection in list(self._exchange.connections):
            connection.close()
        await asyncio.sleep(0)
        if self._sweep is not None:
            self._sweep.cancel()
        return unanswered

    def expire(self, now: float) -> None:
        """End what took longer than the limits allow, at this moment of the front's clock."""
        for connection in [each for each in self._exchange.connections if each.deadline <= now]:
            connection.expire(now)

    def _sweep_again(self) -> None:
        self._writer.set_date(self._wall_clock())
        self.expire(self._clock())
        self._sweep = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_again)

    def _is_someone_waiting(self) -> bool:
        """Return whether the system has a connection for us that the loop has not taken: closing would lose it."""
        poll = select.poll()
        for own in self._sockets:
            if own.fileno() >= 0:
                poll.register(own, select.POLLIN)
        return bool(poll.poll(0))
