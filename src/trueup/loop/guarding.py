"""Did a guard break? Feeds the signed guards with the cases that became final in a turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Guard
from trueup.data.pricing import CasePricer
from trueup.loop.turn import GuardReading
from trueup.observe.guards import GuardState, guard_status, record_guard, start_guard

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass
class GuardWatch:
    """One guard while a strategy is played."""

    guard: Guard
    counted: Flags
    """Truth table of the guard's `count`, see `CasePricer.truth_table`."""
    per: Flags
    state: GuardState
    totals: tuple[float, float] = (0.0, 0.0)
    breaches: int = 0

    def read(self, end: int, rows: Rows, ways: Rows, *, judged: Flags) -> GuardReading:
        """Add the cases that became final in a turn and say where the guard stands.

        Parameters
        ----------
        end : int
            End of the turn.
        rows : ndarray of int
            Positions of the cases.
        ways : ndarray of int
            How each ended, from `ways_of`.
        judged : ndarray of bool
            Cases decided by the model that the guard watches; the others only count in the overall figure.
        """
        order = np.argsort(rows, kind="stable")
        count = _looked_up(self.counted, rows[order], ways[order])
        per = _looked_up(self.per, rows[order], ways[order])
        self.totals = (self.totals[0] + float(count.sum()), self.totals[1] + float(per.sum()))
        its = judged[order]
        self.state = record_guard(self.state, end, count=count[its], per=per[its])
        status = guard_status(self.state, end)
        if status.proved:
            self.breaches += 1
            self.forget()
        return GuardReading(self.guard.name, status.proved, status.value)

    def forget(self) -> None:
        """Start anew, as after a release or a breach."""
        self.state = start_guard(self.guard)

    def overall(self) -> float | None:
        """Return the guard's figure over the whole rehearsal; None where its denominator is zero."""
        return self.totals[0] / self.totals[1] if self.totals[1] else None


def watch_guards(guards: tuple[Guard, ...], pricer: CasePricer) -> tuple[GuardWatch, ...]:
    """Return a watch for each guard, nothing counted yet."""
    return tuple(GuardWatch(g, pricer.truth_table(g.count), pricer.truth_table(g.per), start_guard(g)) for g in guards)


def ways_of(acted: Flags, outcome: NDArray[np.float64]) -> Rows:
    """Return how each case ended: 0 acted and positive, 1 acted and negative, 2 not acted and positive, 3 neither."""
    return np.where(acted, 0, 2) + np.where(outcome == 1.0, 0, 1)


def _looked_up(table: Flags, rows: Rows, ways: Rows) -> Flags:
    return table[rows if len(table) > 1 else np.zeros(len(rows), dtype=np.int64), ways]
