"""Is it worth asking this model at all? After errors in a row its circuit opens, and one request at a time tries it."""

from __future__ import annotations

from dataclasses import dataclass

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class CircuitRule:
    """When a circuit opens, and when it is tried again."""

    failures: int = 5
    """Model errors or missed deadlines in a row that open it."""
    rest_s: float = 5.0
    """How long it stays open before one request tries the model."""


class Circuit:
    """Opens after failures in a row, and closes with the first success after that.

    Parameters
    ----------
    rule : CircuitRule

    Notes
    -----
    Moments are nanoseconds of a clock that never goes back. While it is open, one request in each `rest_s` is let
    through: the probe. A probe that never reports is followed by the next one.
    """

    def __init__(self, rule: CircuitRule) -> None:
        self._rule = rule
        self.failures_in_row = 0
        self._next_probe_ns = 0
        self.is_open = False

    def lets_through(self, now_ns: int) -> bool:
        """Return whether to ask the model."""
        if not self.is_open:
            return True
        if now_ns < self._next_probe_ns:
            return False
        self._next_probe_ns = now_ns + int(self._rule.rest_s * _NANOSECONDS)
        return True

    def ask_again(self) -> None:
        """Let the next request through: what failed has been mended."""
        self._next_probe_ns = 0

    def failed(self, now_ns: int) -> bool:
        """Count a failure; return whether it opened the circuit."""
        self.failures_in_row += 1
        if self.failures_in_row < self._rule.failures:
            return False
        self._next_probe_ns = now_ns + int(self._rule.rest_s * _NANOSECONDS)
        opened, self.is_open = not self.is_open, True
        return opened

    def succeeded(self) -> bool:
        """Count a success; return whether it closed the circuit."""
        self.failures_in_row = 0
        closed, self.is_open = self.is_open, False
        return closed
