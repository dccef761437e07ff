"""What happens on one connection: requests in, answers out in their order, and an end in any case."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from trueup.serve.errors import AnswerTooLate, BodiesTooMany, RequestRefused, RequestTooSlow, TooManyConnections
from trueup.serve.http_exchange import Exchange
from trueup.serve.http_messages import ANSWERED, GIVEN_UP, HANDED, QUEUED, Request, Response
from trueup.serve.http_reading import BETWEEN, IN_HEAD, RequestReader
from trueup.serve.http_writing import CONTINUE

_SLICE = 65_536
"""Bytes read at once; what one caller can make this process do before it looks at how much that is."""
_PIPE_FULL, _UNREAD, _HELD = 1, 2, 4
"""Why a connection is not read."""


class Connection(asyncio.Protocol):
    """One caller's connection.

    Attributes
    ----------
    deadline : float
        Seconds of the exchange's clock; `expire` is due then.
    """

    __slots__ = (
        "_at_end",
        "_closing",
        "_exchange",
        "_feeding",
        "_held",
        "_lingers",
        "_message_due",
        "_out",
        "_paused",
        "_pending",
        "_reader",
        "_rest",
        "_stops",
        "_transport",
        "deadline",
    )

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._transport: asyncio.Transport | None = None
        self._reader: RequestReader | None = None
        self._pending: deque[Request] | None = None
        self._out: list[bytes] = []
        self._rest: memoryview | None = None
        self._stops = self._held = 0
        self._paused = self._feeding = self._closing = self._at_end = self._lingers = False
        self._message_due = 0.0
        self.deadline = exchange.clock() + exchange.limits.idle_s

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go; refuse a caller too many."""
        exchange = self._exchange
        self._transport = cast("asyncio.Transport", transport)
        held, most = len(exchange.connections), exchange.limits.connections
        exchange.connections.add(self)
        if held < most:
            self._transport.set_write_buffer_limits(high=exchange.limits.write_buffer_bytes)
            return
        if held > most + most // 8:
            exchange.watcher.refused("too-many-connections")
            self._transport.abort()
            return
        self._refuse(
            TooManyConnections(
                f"the server holds {most} connections, as many as it may; try again later",
                retry_after_s=exchange.limits.retry_after_s,
            )
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the caller; what is still answered goes nowhere."""
        self._transport = self._rest = None
        self._exchange.connections.discard(self)
        self._exchange.held_bytes -= self._held
        self._held = 0
        self._give_up_pending()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._closing:
            return
        if len(data) <= _SLICE:
            self._feed(data)
        else:
            self._rest = memoryview(data)
            self._read_rest()
        if self._stops or self._rest is not None:
            self._settle_reading()

    def eof_received(self) -> bool:
        """Answer what is in flight even though the caller sends no more; close when nothing is."""
        self._at_end = True
        return (
            bool(self._pending)
            and not self._closing
            and self._transport is not None
            and self._transport.can_write_eof()
        )

    def pause_writing(self) -> None:
        """The caller does not read its answers: take nothing more from it."""
        self._stops |= _UNREAD
        self.deadline = self._exchange.clock() + self._exchange.limits.write_s
        self._settle_reading()

    def resume_writing(self) -> None:
        """The caller has read."""
        self._read_again(_UNREAD)

    def release(self) -> None:
        """Read on after a refusal."""
        self._read_again(_HELD)

    def expire(self, now: float) -> None:
        """End what took too long: a caller who does not read, an answer, a request, a silence."""
        transport, pending = self._transport, self._pending
        if transport is None:
            return
        if self._closing or transport.get_write_buffer_size():
            if not self._closing:
                self._exchange.watcher.refused("slow-reader")
            transport.abort()
        elif pending:
            self._answer_too_late(pending[0])
        elif not self._is_between():
            self._refuse(RequestTooSlow("the request did not arrive in time; send it again, at once"))
        else:
            self._end()

    def close_if_quiet(self) -> None:
        """End the connection where no request has begun and no answer is on its way."""
        transport = self._transport
        if transport is not None and not self._pending and self._is_between() and not transport.get_write_buffer_size():
            self._end()

    def close(self) -> None:
        """End the connection now; what is not answered stays unanswered."""
        if self._transport is not None:
            if self._pending or self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._end()

    # What the reader calls.

    def take(self, request: Request) -> None:
        """Have a request answered, or refuse it."""
        if self._closing:
            return
        exchange = self._exchange
        request.received_at = now = exchange.clock()
        response = exchange.refusal_of(request)
        if response is not None:
            self._hold()
        else:
            response = exchange.response_to(request)
        if response is not None and request.state == HANDED:
            self._encode(request, response)
        pending = self._pending
        if not pending and request.state == ANSWERED:
            self.deadline = now + exchange.limits.idle_s
            self._put(request)
            return
        if request.state == HANDED:
            request.state = QUEUED
            exchange.admission.in_flight += 1
        if pending is None:
            pending = self._pending = deque()
        pending.append(request)
        if len(pending) >= exchange.limits.pipelined:
            self._stops |= _PIPE_FULL

    def invite_body(self) -> None:
        """Say that the body may come, once earlier requests are answered."""
        note = _note_on(self)
        note.encoded, note.state = CONTINUE, ANSWERED
        if self._pending:
            self._pending.append(note)
        else:
            self._put(note)

    def holds(self, size: int) -> None:
        """Count what is kept of a body that is not whole."""
        exchange = self._exchange
        exchange.held_bytes += size - self._held
        self._held = size
        if size and exchange.held_bytes > exchange.limits.held_bytes:
            raise BodiesTooMany(
                "more bodies are being sent than the server may keep; send smaller requests, or try again later",
                retry_after_s=exchange.limits.retry_after_s,
            )

    # What requests call.

    def answer(self, request: Request, response: Response) -> None:
        """Send an answer in its turn."""
        state = request.state
        if state == GIVEN_UP:
            return
        if state == ANSWERED:
            raise RuntimeError("a request was answered twice")
        self._encode(request, response)
        if state == QUEUED:
            self._exchange.admission.in_flight -= 1
            self._put_pending()
            if not self._feeding:
                self._flush()

    # Reading.

    def _feed(self, data: bytes | memoryview) -> None:
        reader = self._reader
        if reader is None:
            reader = self._reader = RequestReader(self, self._exchange.limits)
        self._feeding = True
        try:
            reader.feed(data)
        except RequestRefused as error:
            self._refuse(error)
        finally:
            self._feeding = False
        if reader.phase and reader.moved:
            limits = self._exchange.limits
            reader.moved = False
            self._message_due = self._exchange.clock() + (limits.head_s if reader.phase == IN_HEAD else limits.body_s)
            self._renew_deadline()
        elif self._pending:
            self._renew_deadline()
        if self._out:
            self._flush()

    def _read_rest(self) -> None:
        while self._rest is not None and not self._stops:
            part, rest = self._rest[:_SLICE], self._rest[_SLICE:]
            self._rest = rest or None
            self._feed(part)
            if self._closing:
                self._rest = None

    def _read_again(self, stop: int) -> None:
        self._stops &= ~stop
        if self._transport is None or self._closing:
            return
        self._renew_deadline()
        self._read_rest()
        self._settle_reading()

    def _hold(self) -> None:
        if not self._stops & _HELD:
            self._stops |= _HELD
            self._exchange.hold(self)

    def _settle_reading(self) -> None:
        """Read exactly while nothing speaks against it; a connection held for a refusal waits for its turn."""
        if self._transport is None or self._closing:
            return
        pauses = self._stops != 0 or self._rest is not None
        if pauses != self._paused:
            self._paused = pauses
            if pauses:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _is_between(self) -> bool:
        return self._reader is None or self._reader.phase == BETWEEN

    def _renew_deadline(self) -> None:
        if self._closing or self._stops & _UNREAD:
            return
        limits = self._exchange.limits
        if self._pending:
            self.deadline = self._pending[0].received_at + limits.answer_s
        elif not self._is_between():
            self.deadline = self._message_due
        else:
            self.deadline = self._exchange.clock() + limits.idle_s

    # Writing.

    def _encode(self, request: Request, response: Response) -> None:
        exchange = self._exchange
        if exchange.draining and (not self._pending or self._pending[-1] is request):
            request.closes = True
        request.encoded = exchange.writer.encoded(request, response)
        request.state = ANSWERED
        exchange.watcher.answered(response.status, exchange.clock() - request.received_at)

    def _put(self, request: Request) -> None:
        self._out.append(request.encoded)
        if request.closes:
            self._closing = True

    def _put_pending(self) -> None:
        pending = self._pending
        while pending and pending[0].state == ANSWERED and not self._closing:
            self._put(pending.popleft())

    def _flush(self) -> None:
        """Send what is ready, and end the connection when that was the last of it."""
        transport, out = self._transport, self._out
        if transport is None:
            return
        if out:
            transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
        if self._closing:
            self._end()
            return
        if not self._pending and (self._at_end or (self._exchange.draining and self._is_between())):
            self._end()
            return
        if self._stops & _PIPE_FULL and len(self._pending or ()) <= self._exchange.limits.pipelined // 2:
            self._read_again(_PIPE_FULL)

    # Ending.

    def _refuse(self, error: RequestRefused) -> None:
        """Tell the caller what is wrong, as the last thing on its connection."""
        note = _note_on(self)
        note.closes, note.received_at = True, self._exchange.clock()
        self._encode(note, self._exchange.refused(error))
        self._lingers = True
        if self._reader is not None:
            self._reader.finished = True
        if self._pending:
            self._pending.append(note)
        else:
            self._put(note)
            if not self._feeding:
                self._flush()

    def _answer_too_late(self, request: Request) -> None:
        after = self._exchange.limits.retry_after_s
        error = AnswerTooLate("the answer was not ready in time; send the request again later", retry_after_s=after)
        request.closes = True
        self._encode(request, self._exchange.refused(error))
        request.state = GIVEN_UP
        self._exchange.admission.in_flight -= 1
        self._put(request)
        self._flush()

    def _end(self) -> None:
        """Close once all is written; a refused caller may first finish sending, or the refusal would not reach it."""
        transport, limits = self._transport, self._exchange.limits
        if transport is None or transport.is_closing():
            return
        self._closing = True
        self._rest = None
        self._give_up_pending()
        self.deadline = self._exchange.clock() + (limits.linger_s if self._lingers else limits.write_s)
        if not self._lingers:
            transport.close()
            return
        if transport.can_write_eof():
            transport.write_eof()
        if self._paused:
            transport.resume_reading()

    def _give_up_pending(self) -> None:
        for request in self._pending or ():
            if request.state == QUEUED:
                self._exchange.admission.in_flight -= 1
            request.state = GIVEN_UP
        self._pending = None


def _note_on(connection: Connection) -> Request:
    """Return a place in the order of answers for bytes that answer no request."""
    return Request(connection, b"", b"", query=b"", headers={}, body=b"")
