"""What happens in one turn of the loop? State and what happened go in, state and actions come out.

`turn` is pure: it reads no clock, no disk and no model. Production calls it with what really happened, a rehearsal with
the past. Whoever calls it carries out the actions and says so with `released` or `rolled_back`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trueup.align.charter import Charter, ExposureStep, RetrainingPolicy, Trigger
from trueup.improve.triggers import find_due
from trueup.kernel.durations import MICROSECONDS_PER_DAY, Duration
from trueup.observe.ledger import TurnFacts, WindowFigures, figures_over
from trueup.release.rollout import Live, Rollout, advance, go_back, start_release

_MONTH = Duration(30 * MICROSECONDS_PER_DAY)


@dataclass(frozen=True)
class GuardReading:
    """Where a guard stands at the end of a turn."""

    name: str
    breached: bool
    value: float | None


@dataclass(frozen=True)
class LoopState:
    """Everything a turn needs to know about the past."""

    as_of: int
    rollout: Rollout
    facts: tuple[TurnFacts, ...] = ()
    last_tried: Mapping[str, int] = field(default_factory=dict)
    """When each policy last retrained, by name."""
    final_outcomes: int = 0
    """That became final since the start."""
    final_at_last_try: Mapping[str, int] = field(default_factory=dict)
    """How many of them there were when each policy last retrained, by name."""

    @property
    def champion(self) -> Live:
        """Return the model that decides."""
        return self.rollout.champion


@dataclass(frozen=True)
class Happened:
    """What one turn brings in."""

    as_of: int
    facts: TurnFacts
    """Of the cases that the champion decided."""
    new_final_outcomes: int = 0
    """Of all cases."""
    guards: tuple[GuardReading, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What was signed, as far as a turn needs it."""

    charter: Charter
    policies: tuple[RetrainingPolicy, ...]

    @property
    def longest_window(self) -> int:
        """Return how far back a turn looks, in microseconds."""
        windows = [t.window.microseconds for p in self.policies for t in p.triggers if t.window]
        return max([_MONTH.microseconds, *windows])


@dataclass(frozen=True)
class Retrain:
    """Train again under this policy, judge, and release or refuse."""

    policy: RetrainingPolicy
    reason: str
    scheduled: bool


@dataclass(frozen=True)
class RollBack:
    """Put the previous model back at once."""

    guard: str
    reason: str


@dataclass(frozen=True)
class Advance:
    """Take the candidate to its next exposure step."""

    step: ExposureStep


@dataclass(frozen=True)
class Alert:
    """Tell the people on duty."""

    reason: str


Action = Retrain | RollBack | Advance | Alert


def turn(state: LoopState, happened: Happened, rules: Rules) -> tuple[LoopState, tuple[Action, ...]]:
    """Return the next state and what must be done.

    A breached guard comes first and ends the turn: nothing is retrained on the day something is taken back. While a
    release is still in shadow or canary nothing new is trained, so at most one automatic promotion happens per bake
    period.
    """
    horizon = happened.as_of - rules.longest_window
    facts = (*(f for f in state.facts if f.end > horizon), happened.facts)
    state = replace(
        state,
        as_of=happened.as_of,
        facts=facts,
        final_outcomes=state.final_outcomes + happened.new_final_outcomes,
    )
    actions = _guard_actions(state, happened, rules)
    if any(isinstance(action, RollBack) for action in actions):
        return state, actions
    if state.rollout.candidate is not None:
        rollout, step = advance(state.rollout, steps=rules.charter.exposure, as_of=state.as_of)
        return _with_rollout(state, rollout), (*actions, Advance(step)) if step else actions
    due = find_due(
        rules.policies,
        as_of=state.as_of,
        last_tried=state.last_tried,
        new_final_outcomes={
            p.name: state.final_outcomes - state.final_at_last_try.get(p.name, 0) for p in rules.policies
        },
        timezone=rules.charter.timezone,
        read=lambda trigger: _read(state, trigger),
    )
    if due is not None:
        state = replace(
            state,
            last_tried={**state.last_tried, due.policy.name: state.as_of},
            final_at_last_try={**state.final_at_last_try, due.policy.name: state.final_outcomes},
        )
        actions = (*actions, Retrain(due.policy, due.reason, due.scheduled))
    return state, actions


def released(state: LoopState, live: Live, rules: Rules) -> LoopState:
    """Return the state after a model was put on its way to everybody."""
    rollout = start_release(state.rollout, live, steps=rules.charter.exposure, as_of=state.as_of)
    return _with_rollout(state, rollout)


def rolled_back(state: LoopState, rules: Rules) -> LoopState:
    """Return the state after the last release was taken back."""
    return _with_rollout(state, go_back(state.rollout, rules.charter.exposure))


def _with_rollout(state: LoopState, rollout: Rollout) -> LoopState:
    """Return the state under a new rollout; a new champion starts with an empty ledger, not with another's figures."""
    same = rollout.champion.name == state.champion.name
    return replace(state, rollout=rollout, facts=state.facts if same else ())


def _guard_actions(state: LoopState, happened: Happened, rules: Rules) -> tuple[Action, ...]:
    breached = {g.name: g for g in happened.guards if g.breached}
    actions: list[Action] = []
    for guard in rules.charter.guards:
        if guard.name not in breached:
            continue
        value = breached[guard.name].value
        reason = f'"{guard.name}" is {value:.3g}, signed is {guard.limit}' if value is not None else guard.name
        goes_back = guard.breach == "rollback" and state.rollout.can_go_back(rules.charter.exposure)
        actions.append(RollBack(guard.name, reason) if goes_back else Alert(reason))
    return tuple(actions)


def _read(state: LoopState, trigger: Trigger) -> float | None:
    """Return what a metric trigger compares with its limit: the metric, or its share of the promise."""
    figures = figures_over(state.facts, as_of=state.as_of, window=trigger.window or _MONTH)
    promise = state.champion.promised_value_per_case
    if trigger.metric == "drift_cost":
        return _drift_cost(state.champion, figures)
    if trigger.metric in ("realised_value", "estimated_value"):
        realised = trigger.metric == "realised_value"
        seen = figures.value_per_case if realised else figures.estimated_value_per_case
        return _share(seen, promise) if trigger.relative_to_promise else seen
    performance = figures.performance if trigger.metric == "realised_performance" else figures.estimated_performance
    if not trigger.relative_to_promise:
        return performance
    at_release = state.champion.performance
    # an error that doubles is half the performance at release
    return _share(at_release, performance) if figures.lower_is_better else _share(performance, at_release)


def _drift_cost(champion: Live, figures: WindowFigures) -> float | None:
    """Return how much less the model now expects of itself than at release, as a share of the promise."""
    expected, promise = champion.estimated_value_per_case, champion.promised_value_per_case
    now = figures.estimated_value_per_case
    if expected is None or now is None or not promise or promise <= 0:
        return None
    return max(0.0, expected - now) / promise


def _share(seen: float | None, whole: float | None) -> float | None:
    return None if seen is None or not whole or whole <= 0 else seen / whole
