"""Is this one case acted on, now? The law of `align/allocation.StreamAllocator`, case by case, for a server.

The cut-off is solved once in every slot, at its first case, from the tokens that are left then, and stays until the
slot ends: so one decider, and an allocator that is given the same cases in any batches, decide alike. Several processes
that share a `TokenCounter` solve the same cut-off, from what was used when the first of them came to the slot; together
they never take more tokens than there are, and which of two cases gets the last one depends on who asks first.

A moment before those already seen is decided in its own period with what is left there; a period whose count is no
longer kept is closed. So a clock that goes back never opens a new capacity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from trueup.align.allocation import CANARY_SALT, CONTROL_SALT, EXPLORATION_SALT, SLOT, Pace
from trueup.align.decision_policy import DecisionPolicy
from trueup.align.errors import AlignError
from trueup.kernel.periods import Calendar

WORTH_IT = "worth_it"
NOT_WORTH_IT = "not_worth_it"
BELOW_CUTOFF = "below_cutoff"
NO_CAPACITY = "no_capacity"
OLD_RULE = "control"
RANDOM = "exploration"
FALLBACK = "fallback"
REASONS = {
    WORTH_IT: "acting is expected to pay, and pays more than what may still come",
    NOT_WORTH_IT: "acting is not expected to pay",
    BELOW_CUTOFF: "acting would pay, but better cases are expected for what is left of the capacity",
    NO_CAPACITY: "acting would pay, or the rule asks for it, but the capacity of the period is used",
    OLD_RULE: "drawn for the control group, which the old rule decides",
    RANDOM: "drawn at random for the share of the capacity that is kept to learn from",
}
"""Why a case was decided as it was. A fallback's reason is ``fallback:`` and what failed."""
PACE_FORMAT = 1
PACE_GAINS = 2_000
"""Quantiles of the gains that a pace document keeps: a share of 1 in 100 still rests on 20 of them."""
_CLOSED = (1 << 62, 0)
UNCOUNTED = (1 << 62, 1)
"""What `TokenCounter.used_before` says when it cannot count now: a slot solved from it would be wrong until it ends."""
_MASK = 0xFFFFFFFFFFFFFFFF
_ONE = float(1 << 53)


class BadPace(AlignError):
    """A document is no pace of this version."""

    code = "align.bad-pace"


# --- what usually arrives, as a document


def pace_document(pace: Pace) -> dict[str, Any]:
    """Return a pace as JSON values of some 20 kB.

    Notes
    -----
    Gains are thinned to `PACE_GAINS` quantiles with seven digits, of which those above 0 are written. A cut-off of the
    thinned pace may differ from one of the whole, so whatever must decide alike (development, batch, every server)
    takes its pace from one document; ``pace_document(pace_from(d)) == d``.
    """
    gains = pace.gains
    if len(gains) > PACE_GAINS:
        gains = gains[((np.arange(PACE_GAINS) + 0.5) * len(gains) / PACE_GAINS).astype(np.int64)]
    return {
        "format": PACE_FORMAT,
        "cases_per_hour": [float(f"{count:.7g}") for count in pace.cases_per_hour],
        "offset": pace.offset,
        "gains": [float(f"{gain:.7g}") for gain in gains if gain > 0],
        "of": len(gains),
    }


def pace_from(document: Mapping[str, Any]) -> Pace:
    """Return the pace that `pace_document` wrote.

    Raises
    ------
    BadPace
        When it is none.
    """
    try:
        per_hour = np.array(document["cases_per_hour"], dtype=np.float64)
        gains = np.zeros(int(document["of"]))
        best = np.array(document["gains"], dtype=np.float64)
        gains[: len(best)] = best
        offset = int(document["offset"])
        right = document["format"] == PACE_FORMAT and per_hour.shape == (168,) and bool((per_hour >= 0).all())
    except (KeyError, TypeError, ValueError) as error:
        raise BadPace(
            f"the pace is refused: {type(error).__name__} while it was read; package the bundle again"
        ) from error
    if not right or not np.isfinite(per_hour).all() or (np.diff(gains) > 0).any() or not np.isfinite(gains).all():
        raise BadPace("the pace is refused: it needs 168 numbers of cases, and gains from best to worst")
    return Pace(per_hour, offset, gains)


# --- draws


def draw_of(unit: int, salt: int) -> int:
    """Return the draw of a unit, 0 to 2^53 - 1: `allocation.uniform_of` times 2^53, for one."""
    z = unit + salt * 0x9E3779B97F4A7C15 & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return (z ^ z >> 31) >> 11


def canary_of(unit: int, *, salt: int, share: float) -> bool:
    """Return whether a canary with this share decides the unit, under the salt of its release.

    The same units stay in when the share grows.
    """
    return draw_of(unit, CANARY_SALT + salt) < share * _ONE


# --- tokens


class TokenCounter(Protocol):
    """Counts what is used of each period's capacity; `MemoryTokens` here, `lake/capacity_file.py` for processes."""

    def used(self, period_start: int) -> tuple[int, int]:
        """Return the tokens taken of a period, and how many of them for exploration."""
        ...

    def used_before(self, period_start: int, slot_start: int) -> tuple[int, int]:
        """Return what `used` said when the first who shares this count asked for this slot; once said, it stays."""
        ...

    def allowed(self, period_start: int, cases: int) -> tuple[int, float]:
        """Return how many of a capacity of `cases` may be used here, and the share of all cases that come here.

        A share of 0 says that nothing can be counted now: no case is acted on, and the next one asks again.
        """
        ...

    def take(self, period_start: int, prediction_id: bytes, *, exploring: bool, most: int, in_all: int) -> bool:
        """Take a token for a prediction, or say no.

        Parameters
        ----------
        period_start : int
        prediction_id : bytes
            The id, what scopes it, and the number of the row. One that has a token keeps it, and takes no second one.
        exploring : bool
        most : int
            The most tokens of this kind (for exploration, or for all else).
        in_all : int
            The most tokens of both kinds.
        """
        ...

    def taken(self, period_start: int, prediction_id: bytes) -> bool | None:
        """Return whether the token that a prediction has is for exploration; None where it has none."""
        ...


class MemoryTokens:
    """Counts in memory, for one process that lives as long as its counts matter.

    Parameters
    ----------
    kept_periods : int
        How many of the latest periods stay known.
    """

    def __init__(self, *, kept_periods: int = 4) -> None:
        self._kept = kept_periods
        self._periods: dict[int, dict[bytes, bool]] = {}
        self._explored: dict[int, int] = {}
        self._slots: dict[int, dict[int, tuple[int, int]]] = {}
        self._closed_before = -(1 << 62)

    def used(self, period_start: int) -> tuple[int, int]:
        """See `TokenCounter`."""
        taken = self._period(period_start)
        return _CLOSED if taken is None else (len(taken), self._explored[period_start])

    def used_before(self, period_start: int, slot_start: int) -> tuple[int, int]:
        """See `TokenCounter`."""
        now = self.used(period_start)
        return self._slots[period_start].setdefault(slot_start, now) if now != _CLOSED else now

    def allowed(self, period_start: int, cases: int) -> tuple[int, float]:
        """See `TokenCounter`: all of them."""
        return cases, 1.0

    def take(self, period_start: int, prediction_id: bytes, *, exploring: bool, most: int, in_all: int) -> bool:
        """See `TokenCounter`."""
        taken = self._period(period_start)
        if taken is None:
            return False
        if prediction_id in taken:
            return True
        explored = self._explored[period_start]
        if len(taken) >= in_all or (explored if exploring else len(taken) - explored) >= most:
            return False
        taken[prediction_id] = exploring
        self._explored[period_start] = explored + exploring
        return True

    def taken(self, period_start: int, prediction_id: bytes) -> bool | None:
        """See `TokenCounter`."""
        return self._periods.get(period_start, {}).get(prediction_id)

    def _period(self, start: int) -> dict[bytes, bool] | None:
        found = self._periods.get(start)
        if found is not None or start < self._closed_before:
            return found
        self._periods[start], self._explored[start], self._slots[start] = {}, 0, {}
        for oldest in sorted(self._periods)[: -self._kept]:
            del self._periods[oldest], self._explored[oldest], self._slots[oldest]
            self._closed_before = oldest + 1
        return self._periods.get(start)


# --- decisions


class Decision(NamedTuple):
    """What was decided for a case."""

    acted: bool
    qualifies: bool
    """Worth acting on, before capacity."""
    role: str
    """champion or canary, control, exploration or fallback."""
    reason: str
    propensity: float
    """Probability with which chance let this role decide this case."""
    cutoff: float
    """Gain from which on cases are acted on in this slot, in the currency."""


@dataclass(frozen=True)
class Terms:
    """What the charter says about who is acted on."""

    calendar: Calendar
    cases: int | None
    """Cases a period; None without a limit."""
    exploration_share: float = 0.0
    control_group: float = 0.0

    @classmethod
    def of(cls, policy: DecisionPolicy, *, lowered_to: int | None = None) -> Terms:
        """Return the terms of a policy; `lowered_to` is an operator's lower capacity, which never raises it."""
        cases = policy.capacity
        if cases is not None and lowered_to is not None:
            cases = min(cases, lowered_to)
        return cls(Calendar(policy.timezone, policy.per), cases, policy.exploration_share, policy.control_group)

    def reserve(self, cases: int | None = None) -> int:
        """Return the tokens of a period kept for exploration; of `cases` where fewer are allowed here."""
        return int(self.exploration_share * ((self.cases or 0) if cases is None else cases))


class _Slot(NamedTuple):
    """A slot of a period, and the decisions that are the same for all its cases."""

    period_start: int
    last: int
    cutoff: float


class Found(NamedTuple):
    """What a decider solved for a slot; another that goes on from it decides alike, as far as tokens are there."""

    period_start: int
    period_end: int
    last: int
    """End of the slot."""
    cutoff: float
    in_all: int
    reserve: int
    explored: int


class StreamDecider:
    """Decides the cases of one project in one process, in the order they come.

    Parameters
    ----------
    terms : Terms
    pace : Pace or None
        What usually arrives; None: the first come are served, and nothing is drawn for exploration.
    tokens : TokenCounter
        Shared by all deciders of the project, of earlier and later releases too.

    Notes
    -----
    Some 1 us a case. A release, a new pace or a new capacity is a new decider over the same tokens; it solves its own
    cut-off at its first case, from what was used when the slot began.
    """

    def __init__(self, terms: Terms, *, pace: Pace | None, tokens: TokenCounter) -> None:
        self._terms, self._pace, self._tokens = terms, pace, tokens
        self._in_all = self._most = self._reserve = 0
        self._chance = 1.0 - terms.control_group
        self._control_draws = terms.control_group * _ONE
        self._rate = min(1.0, pace.exploration_rate(terms.reserve(), terms.calendar.per)) if pace else 0.0
        self._exploration_draws = self._rate * _ONE
        self._explored = 0
        self._slot = _Slot(0, -1, 0.0) if terms.cases is not None else _Slot(-(1 << 63), 1 << 63, 0.0)
        self._period_end = -1

    def look_again(self) -> None:
        """Ask with the next case how much of the capacity may be used here: it has changed within a slot."""
        if self._terms.cases is not None:
            self._slot, self._period_end = _Slot(0, -1, 0.0), -1

    def find(self, moment: int) -> Found:
        """Return what is solved for the slot of a moment, before its first case."""
        slot = self._slot
        if not slot.period_start <= moment < slot.last:
            slot = self._enter(moment)
        end, explored = self._period_end, self._explored
        return Found(slot.period_start, end, slot.last, slot.cutoff, self._in_all, self._reserve, explored)

    def go_on(self, found: Found) -> None:
        """Decide the cases of a slot by what was solved for it before, such as by a process that was killed since."""
        self._slot = _Slot(found.period_start, found.last, found.cutoff)
        self._period_end = found.period_end
        self._in_all, self._reserve, self._explored = found.in_all, found.reserve, found.explored
        self._most = found.in_all - found.reserve

    def is_control(self, unit: int) -> bool:
        """Return whether the old rule decides the unit."""
        return draw_of(unit, CONTROL_SALT) < self._control_draws

    def decide(
        self,
        *,
        moment: int,
        gain: float,
        unit: int,
        prediction_id: bytes,
        baseline: bool = False,
        role: str = "champion",
        share: float = 1.0,
    ) -> Decision:
        """Decide a case by its expected gain.

        Parameters
        ----------
        moment : int
            When it is decided, in microseconds UTC.
        gain : float
            Of acting, in the currency; NaN never qualifies.
        unit : int
            Hash of the case (`decision_policy.DecisionPolicy.unit_hash`).
        prediction_id : bytes
            With the number of the row; a retry takes no second token.
        baseline : bool
            What the old rule says; only read for cases of the control group.
        role : str
            Whose gain it is: champion or canary.
        share : float
            Probability with which chance gave the case to that role.
        """
        slot = self._slot
        if not slot.period_start <= moment < slot.last:
            slot = self._enter(moment)
        qualifies, cutoff = gain > 0.0, slot.cutoff
        if self._control_draws and draw_of(unit, CONTROL_SALT) < self._control_draws:
            asked = Decision(baseline, qualifies, OLD_RULE, OLD_RULE, self._terms.control_group, cutoff)
            return self._with_token(asked, slot, prediction_id)
        if qualifies and gain >= cutoff:
            asked = Decision(True, True, role, WORTH_IT, self._chance * share, cutoff)
            return self._with_token(asked, slot, prediction_id)
        drawable = self._rate > 0.0 and self._explored < self._reserve
        if drawable and draw_of(unit, EXPLORATION_SALT) < self._exploration_draws:
            if self._explore(slot, prediction_id):
                return Decision(True, qualifies, RANDOM, RANDOM, self._chance * self._rate, cutoff)
            drawable = False
        chance = self._chance * share * (1.0 - self._rate if drawable else 1.0)
        return Decision(False, qualifies, role, BELOW_CUTOFF if qualifies else NOT_WORTH_IT, chance, cutoff)

    def fall_back(
        self, *, moment: int, acts: bool, unit: int, prediction_id: bytes, reason: str, baseline: bool = False
    ) -> Decision:
        """Decide a case without a model: as the signed fallback says, or in the control group as the old rule does.

        Parameters
        ----------
        acts : bool
            What the fallback says; it needs a token like everybody.
        reason : str
            ``fallback:`` and what failed.
        moment, unit, prediction_id, baseline
            As for `decide`.
        """
        slot = self._slot
        if not slot.period_start <= moment < slot.last:
            slot = self._enter(moment)
        control = self.is_control(unit)
        asked = Decision(acts, acts, FALLBACK, reason, self._chance, slot.cutoff)
        if control:
            asked = Decision(baseline, baseline, OLD_RULE, OLD_RULE, self._terms.control_group, slot.cutoff)
        return self._with_token(asked, slot, prediction_id)

    def standing(self, decision: Decision, prediction_id: bytes) -> Decision:
        """Return what stands of the decision that was just made of what may be a retry.

        A prediction that has a token of the period was acted on, whatever the cut-off and the model say by now.
        """
        if decision.acted or self._terms.cases is None:
            return decision
        exploring = self._tokens.taken(self._slot.period_start, prediction_id)
        if exploring is None:
            return decision
        if exploring:
            return decision._replace(acted=True, role=RANDOM, reason=RANDOM, propensity=self._chance * self._rate)
        return decision._replace(
            acted=True, reason=decision.reason if decision.role in (FALLBACK, OLD_RULE) else WORTH_IT
        )

    def _with_token(self, asked: Decision, slot: _Slot, prediction_id: bytes) -> Decision:
        """Return the decision that was asked for; where it acts and no token is left, that it does not."""
        if not asked.acted or self._terms.cases is None:
            return asked
        if self._tokens.take(slot.period_start, prediction_id, exploring=False, most=self._most, in_all=self._in_all):
            return asked
        return asked._replace(acted=False, reason=NO_CAPACITY)

    def _explore(self, slot: _Slot, prediction_id: bytes) -> bool:
        taken = self._tokens.take(
            slot.period_start, prediction_id, exploring=True, most=self._reserve, in_all=self._in_all
        )
        self._explored += taken
        if not taken:
            self._explored = self._tokens.used(slot.period_start)[1]
        return taken

    def _enter(self, moment: int) -> _Slot:
        """Solve the cut-off of the slot that a moment falls in."""
        calendar = self._terms.calendar
        start = self._slot.period_start
        if not start <= moment < self._period_end:
            start = calendar.start_of(moment)
            self._period_end = calendar.next_start(moment)
        length = SLOT[calendar.per]
        slot_start = start + (moment - start) // length * length
        self._in_all, share = self._tokens.allowed(start, self._terms.cases or 0)
        self._reserve = self._terms.reserve(self._in_all)
        self._most = self._in_all - self._reserve
        used, explored = self._tokens.used_before(start, slot_start) if share else UNCOUNTED
        if (used, explored) == UNCOUNTED:
            self._in_all = self._most = self._reserve = 0
            self._slot = _Slot(start, start, 0.0)
            return self._slot
        self._explored = self._tokens.used(start)[1] if self._reserve else 0
        room, end = max(0, self._most - (used - explored)), self._period_end
        cutoff = self._pace.cutoff(tokens=room, first=slot_start, last=end, share=share) if self._pace else 0.0
        self._slot = _Slot(start, min(slot_start + length, self._period_end), cutoff)
        return self._slot
