"""Can a request still be answered in time, or is it refused before any work went into it?"""

from __future__ import annotations

from trueup.serve.http_limits import FrontLimits


class Admission:
    """Sheds what would queue too long, in a process that does one thing after another.

    The requests that are readable in one turn of the loop are taken one by one, and their answers leave at its end:
    one of them has waited at least since the turn began. That wait is the queue. A burst may queue for `burst_s`; a
    queue that stands for longer is held to `queue_delay_s`, as in K. Nichols and V. Jacobson, "Controlling queue
    delay" (2012), in the simple form of B. Maurer, "Fail at scale" (2015): no rate to be set, nothing to be learnt
    about the cost of a request. A few requests are let in even when they are large or the machine is busy with
    something else: a handful of callers who each wait for their answer is no overload.

    Attributes
    ----------
    in_flight : int
        Requests taken and not answered yet; whoever takes and answers them keeps it.
    """

    __slots__ = ("_last_late", "_late_since", "_limits", "in_flight")

    def __init__(self, limits: FrontLimits) -> None:
        self._limits = limits
        self._last_late = self._late_since = float("-inf")
        self.in_flight = 0

    def reason_against(self, *, now: float, waited: float) -> str | None:
        """Return why a request is refused: ``queue`` or ``in-flight``; None takes it.

        Parameters
        ----------
        now : float
            Seconds of a clock that never goes back.
        waited : float
            Seconds since the loop's present turn began.
        """
        limits = self._limits
        if self.in_flight >= limits.in_flight:
            return "in-flight"
        if waited <= (limits.few_delay_s if self.in_flight < limits.few else limits.queue_delay_s):
            return None
        if now - self._last_late > limits.burst_s:
            self._late_since = now - waited
        self._last_late = now
        return "queue" if now - self._late_since > limits.burst_s else None
