"""What is decided for rows that were scored? One by one as a server does, or for a whole period at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, SupportsInt

import numpy as np
from numpy.typing import NDArray

from trueup.align.allocation import allocate_period
from trueup.align.streaming import (
    BELOW_CUTOFF,
    NO_CAPACITY,
    NOT_WORTH_IT,
    OLD_RULE,
    RANDOM,
    WORTH_IT,
    Decision,
    StreamDecider,
    Terms,
    TokenCounter,
)
from trueup.lake.log_records import CHAMPION, CONTROL, EXPLORATION, FALLBACK
from trueup.loop.predict_scoring import BAD_ROW, MISSING_FEATURES, NO_TIME, OWN

if TYPE_CHECKING:
    import pyarrow as pa

Flags = NDArray[np.bool_]
PREDICTED = "predicted"
_FELL_BACK = f"fallback:{MISSING_FEATURES}"
REASONS = (
    *(WORTH_IT, NOT_WORTH_IT, BELOW_CUTOFF, NO_CAPACITY, OLD_RULE, RANDOM),
    *(_FELL_BACK, PREDICTED, BAD_ROW, MISSING_FEATURES, NO_TIME),
)
UNDECIDED = (BAD_ROW, MISSING_FEATURES, NO_TIME)
ROLES = (CHAMPION, CONTROL, EXPLORATION, FALLBACK)
_CODES = {reason: code for code, reason in enumerate(REASONS)}
_FAILURES = (None, BAD_ROW, MISSING_FEATURES)


@dataclass(frozen=True)
class Facts:
    """What decisions rest on; arrays of shape (n_rows,)."""

    gains: NDArray[np.float64]
    moments: NDArray[np.int64]
    """When each is decided."""
    undated: Flags
    """No moment is known."""
    units: NDArray[np.uint64]
    control: Flags
    baseline: Flags
    fallback: Flags
    failures: NDArray[np.uint8]
    """Position in ``(None, bad_row, missing_features)``."""

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch], *, now: int | None) -> Facts:
        """Return the facts of scored rows; with `now` all are decided at that moment, else at their event time."""
        parts = [_arrays(batch, now) for batch in batches]
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @property
    def undecidable(self) -> Flags:
        """Rows that cannot be decided at all."""
        return np.asarray(self.undated | (self.failures == _FAILURES.index(BAD_ROW)))


@dataclass(frozen=True)
class Decisions:
    """What was decided; arrays of shape (n_rows,)."""

    acted: Flags
    qualifies: Flags
    reasons: NDArray[np.uint8]
    """Position in `REASONS`."""
    roles: NDArray[np.uint8]
    """Position in `ROLES`."""
    propensities: NDArray[np.float64]
    """Probability with which chance let that role decide, 0 to 1."""

    @classmethod
    def none_of(cls, facts: Facts) -> Decisions:
        """Return that nobody is acted on, because the rows cannot be decided."""
        why = np.where(facts.failures == _FAILURES.index(BAD_ROW), _CODES[BAD_ROW], _CODES[NO_TIME])
        return cls.idle(why)

    @classmethod
    def idle(cls, reasons: NDArray[Any]) -> Decisions:
        """Return that nobody is acted on, for these reasons, as a champion without chance says it."""
        nobody = np.zeros((2, len(reasons)), dtype=bool)
        roles = np.zeros(len(reasons), dtype=np.uint8)
        return cls(nobody[0], nobody[1], reasons.astype(np.uint8), roles, np.ones(len(reasons)))

    def __len__(self) -> int:
        """Return how many rows these are."""
        return len(self.acted)

    @property
    def lost(self) -> Flags:
        """Rows that were not decided."""
        return np.isin(self.reasons, [_CODES[reason] for reason in UNDECIDED])

    def part(self, first: int, rows: int) -> Decisions:
        """Return some of them."""
        window = slice(first, first + rows)
        return Decisions(*(getattr(self, column.name)[window] for column in fields(self)))


@dataclass(frozen=True)
class Ruling:
    """By what is decided."""

    decider: StreamDecider
    terms: Terms
    tokens: TokenCounter
    run: bytes
    """Id of the run; with the number of the row and its case it names a token."""
    has_fallback: bool
    used_before: int | None = None
    """Tokens of the present period that others had taken when the run began; None: those that are taken now."""


def decide_values(ruling: Ruling, batch: pa.RecordBatch) -> Decisions:
    """Decide rows whose decision is a number or a class, which needs no capacity."""
    failures = batch.column(f"{OWN}failure").to_pylist()
    has = batch.column(f"{OWN}predicted").is_valid().to_numpy(zero_copy_only=False)
    ruled = batch.column(f"{OWN}control").to_numpy(zero_copy_only=False) & has
    fell = np.array([failure == MISSING_FEATURES for failure in failures], dtype=bool) & has & ~ruled
    why = [
        _CODES[OLD_RULE] if ruled[i] else _CODES[_FELL_BACK] if fell[i] else _CODES[failure or PREDICTED]
        for i, failure in enumerate(failures)
    ]
    made = Decisions.idle(np.array(why, dtype=np.uint8))
    _say_roles(made, ruling.terms, ruled=ruled, fell=fell)
    return made


def _say_roles(made: Decisions, terms: Terms, *, ruled: Flags, fell: Flags, rows: Any = slice(None)) -> None:
    """Fill in who decided rows between whom chance chose only by the control group."""
    made.roles[rows] = np.where(ruled, ROLES.index(CONTROL), np.where(fell, ROLES.index(FALLBACK), 0))
    made.propensities[rows] = np.where(ruled, terms.control_group, 1.0 - terms.control_group)


def decide_streaming(ruling: Ruling, facts: Facts, *, first_row: int) -> Decisions:
    """Decide rows in the order of their moments, equal moments in the order of the file, as a server would."""
    made = Decisions.none_of(facts)
    order: Iterable[int] = range(len(facts.gains))
    if (np.diff(facts.moments) < 0).any():
        order = np.argsort(facts.moments, kind="stable").tolist()
    skipped, failed = facts.undecidable.tolist(), (facts.failures > 0).tolist()
    for i in order:
        if skipped[i]:
            continue
        if failed[i] and not ruling.has_fallback:
            made.reasons[i] = _CODES[MISSING_FEATURES]
            continue
        named = _token_name(ruling, first_row + i, facts.units[i])
        decision = _one(ruling.decider, facts, i, named, failed=failed[i])
        made.acted[i], made.qualifies[i] = decision.acted, decision.qualifies
        made.reasons[i], made.roles[i] = _CODES[decision.reason], ROLES.index(decision.role)
        made.propensities[i] = decision.propensity
    return made


def _token_name(ruling: Ruling, row: SupportsInt, unit: SupportsInt) -> bytes:
    """Return a name that another case in the same row does not have: the id of a run may be given again."""
    return ruling.run + int(row).to_bytes(4, "big") + int(unit).to_bytes(8, "big")


def _one(decider: StreamDecider, facts: Facts, place: int, named: bytes, *, failed: bool) -> Decision:
    moment, unit, baseline = int(facts.moments[place]), int(facts.units[place]), bool(facts.baseline[place])
    if failed:
        acts = bool(facts.fallback[place])
        return decider.fall_back(
            moment=moment, acts=acts, unit=unit, prediction_id=named, reason=_FELL_BACK, baseline=baseline
        )
    gain = float(facts.gains[place])
    return decider.decide(moment=moment, gain=gain, unit=unit, prediction_id=named, baseline=baseline)


def decide_period(ruling: Ruling, facts: Facts) -> Decisions:
    """Decide whole periods: what rules ask for first, then the best cases as far as the capacity goes.

    Nothing is kept for exploration.
    """
    made = Decisions.none_of(facts)
    failed = facts.failures == _FAILURES.index(MISSING_FEATURES)
    if not ruling.has_fallback:
        made.reasons[failed] = _CODES[MISSING_FEATURES]
    left_out = facts.undecidable | (failed & (not ruling.has_fallback))
    rows = np.flatnonzero(~left_out)
    if not len(rows):
        return made
    rows = rows[np.argsort(facts.moments[rows], kind="stable")]
    calendar, moments = ruling.terms.calendar, facts.moments[rows]
    starts = calendar.starts_between(int(moments[0]), int(moments[-1]) + 1)
    edges = np.searchsorted(moments, starts)
    for start, first, last in zip(starts.tolist(), edges[:-1], edges[1:], strict=False):
        _decide_one_period(ruling, facts, made, rows=rows[first:last], start=start)
    return made


def _decide_one_period(ruling: Ruling, facts: Facts, made: Decisions, *, rows: NDArray[np.int64], start: int) -> None:
    terms, tokens = ruling.terms, ruling.tokens
    failed = facts.failures[rows] > 0
    control = facts.control[rows]
    forced = control | failed
    gains = np.where(failed, np.nan, facts.gains[rows])
    asked = np.where(control, facts.baseline[rows], facts.fallback[rows]) & forced
    in_all = len(rows)
    if terms.cases is not None:
        in_all = tokens.allowed(start, terms.cases)[0]
    used = 0
    if terms.cases is not None:
        used = tokens.used(start)[0] if ruling.used_before is None else ruling.used_before
    room = max(0, in_all - used)
    acted = asked & (np.cumsum(asked) <= room)
    acted |= allocate_period(np.where(forced, np.nan, gains), capacity=room - int(acted.sum()))
    if terms.cases is not None:
        for place in np.flatnonzero(acted):
            named = _token_name(ruling, rows[place], facts.units[rows[place]])
            acted[place] = tokens.take(start, named, exploring=False, most=in_all, in_all=in_all)
    worth = np.where(failed, asked, gains > 0)
    ruled = np.where(control, _CODES[OLD_RULE], _CODES[_FELL_BACK])
    free = np.where(acted, _CODES[WORTH_IT], np.where(worth, _CODES[BELOW_CUTOFF], _CODES[NOT_WORTH_IT]))
    made.acted[rows], made.qualifies[rows] = acted, worth
    _say_roles(made, terms, ruled=control, fell=failed & ~control, rows=rows)
    made.reasons[rows] = np.where(forced, np.where(asked & ~acted, _CODES[NO_CAPACITY], ruled), free)


def _arrays(batch: pa.RecordBatch, now: int | None) -> tuple[NDArray[Any], ...]:
    rows = batch.num_rows
    if now is None:
        column = batch.column(f"{OWN}moment")
        undated = column.is_null().to_numpy(zero_copy_only=False)
        moments = column.fill_null(0).to_numpy()
    else:
        undated, moments = np.zeros(rows, dtype=bool), np.full(rows, now, dtype=np.int64)
    flags = [
        batch.column(f"{OWN}{name}").to_numpy(zero_copy_only=False) for name in ("control", "baseline", "fallback")
    ]
    failures = np.array([_FAILURES.index(f) for f in batch.column(f"{OWN}failure").to_pylist()], dtype=np.uint8)
    gains = batch.column("expected_gain").to_numpy(zero_copy_only=False)
    return gains, moments, undated, batch.column(f"{OWN}unit").to_numpy(), *flags, failures
