"""How much may one caller, and all of them together, ask of a server process?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """What a front takes before it refuses. Sizes are bytes, times seconds; defaults suit one process on one core."""

    connections: int = 12_000
    """Connections held at once; one more gets a 503 and is closed."""
    pipelined: int = 64
    """Unanswered requests of one connection; beyond it nothing more is read from it until answers have left."""
    in_flight: int = 4_096
    """Unanswered requests of all connections; one more gets a 429."""
    target_bytes: int = 8_192
    header_count: int = 100
    header_bytes: int = 32_768
    """Names and values of all headers of a request."""
    body_bytes: int = 16 * 1024 * 1024
    held_bytes: int = 256 * 1024 * 1024
    """Of bodies that are not whole yet, of all connections; one that needs more gets a 503 and is closed."""
    head_s: float = 10.0
    """From the first byte of a request, or the opening of its connection, to the end of its headers."""
    body_s: float = 30.0
    """From the end of the headers to the end of the body."""
    idle_s: float = 75.0
    """How long a connection may lie between two requests."""
    answer_s: float = 30.0
    """After it a request the handler has not answered gets a 503."""
    write_s: float = 30.0
    """How long a caller may leave answers unread before its connection is aborted."""
    linger_s: float = 2.0
    """How long what a refused caller still sends is read and dropped, so that it sees the refusal."""
    write_buffer_bytes: int = 65_536
    """Answers waiting for a slow reader; beyond it nothing more is read from that caller."""
    queue_delay_s: float = 0.02
    """How long requests may queue for this process, for longer than a burst, before new ones get a 429."""
    few: int = 64
    """Unanswered requests that are not yet a queue."""
    few_delay_s: float = 0.2
    """What takes the place of `queue_delay_s` as long as no more wait."""
    burst_s: float = 0.1
    """A queue that is gone by then is no overload; beyond it a request is refused at once."""
    refusals_per_cpu_s: float = 5_000.0
    """Connections refused for overload that are read again per second of the process's own time, so that refusing, at
    about 20 microseconds each, takes a tenth of the capacity and no more."""
    retry_after_s: int = 1
    """Told with each 429 and 503."""
