"""Is it time to retrain? Evaluates the triggers the sponsor signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trueup.align.charter import RetrainingPolicy, Trigger
from trueup.kernel.periods import Calendar


@dataclass(frozen=True)
class Due:
    """A policy that fired, and why."""

    policy: RetrainingPolicy
    reason: str
    scheduled: bool
    """Fired by the calendar, not by a figure."""


def find_due(
    policies: Sequence[RetrainingPolicy],
    *,
    as_of: int,
    last_tried: Mapping[str, int],
    new_final_outcomes: Mapping[str, int],
    timezone: str,
    read: Callable[[Trigger], float | None],
) -> Due | None:
    """Return the first policy with a trigger that is due, or None.

    Parameters
    ----------
    policies : sequence of RetrainingPolicy
    as_of : int
        The moment of this turn.
    last_tried : mapping of str to int
        When each policy last retrained (or the first release), by policy name.
    new_final_outcomes : mapping of str to int
        Outcomes that became final since each policy last retrained.
    timezone : str
        Of the charter, for calendar triggers.
    read : callable
        Gives the value a metric trigger compares with its limit; None is no_data, which never fires.
    """
    for policy in policies:
        since = last_tried[policy.name]
        for trigger in policy.triggers:
            reason = _reason(
                trigger, as_of=as_of, since=since, new=new_final_outcomes[policy.name], timezone=timezone, read=read
            )
            if reason is not None:
                return Due(policy, reason, scheduled=trigger.kind == "every")
    return None


def _reason(
    trigger: Trigger, *, as_of: int, since: int, new: int, timezone: str, read: Callable[[Trigger], float | None]
) -> str | None:
    if trigger.kind == "every":
        return _every(trigger, as_of=as_of, since=since, timezone=timezone)
    if trigger.kind == "new_final_outcomes":
        return f"{new:,} new final outcomes" if trigger.count is not None and new >= trigger.count else None
    if trigger.window is not None and as_of - since < trigger.window.microseconds:
        return None
    value = read(trigger)
    if value is None or trigger.limit is None or not trigger.limit.allows(value):
        return None
    shown = f"{value:.0%} of what was promised" if trigger.relative_to_promise else f"{value:.3g}"
    return f'"{trigger.text}": it is {shown}'


def _every(trigger: Trigger, *, as_of: int, since: int, timezone: str) -> str | None:
    if trigger.every_period is not None:
        calendar = Calendar(timezone, trigger.every_period)
        start = calendar.start_of(as_of)
        return f"a new {trigger.every_period}, {calendar.label(start)}" if since < start else None
    if trigger.every is not None and as_of - since >= trigger.every.microseconds:
        return trigger.text
    return None
