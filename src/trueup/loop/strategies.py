"""Which ways of running the model are compared? Never retraining, the charter's own policies, and the usual ones."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.align.charter import Charter, Project, RetrainingPolicy, Trigger
from trueup.kernel.durations import Duration, parse_duration

_MONTHLY = Trigger(text="every month", kind="every", every_period="month")


@dataclass(frozen=True)
class StrategyPlan:
    """One way to run the model."""

    name: str
    description: str
    policies: tuple[RetrainingPolicy, ...] = ()
    window: Duration | None = None
    """Training window of the first model; None takes all history."""
    gated: bool = False
    """Retrained models go live only inside the charter's envelope; else always, as a plain calendar refit does."""


def plan_strategies(project: Project) -> tuple[StrategyPlan, ...]:
    """Return the strategies to rehearse, `never` first."""
    return (
        StrategyPlan("never", "Trained once before the start, never again"),
        *_own(project.charter),
        _usual("monthly", "Refitted every month on all history", None),
        _usual("monthly-90d", "Refitted every month on the last 90 days", parse_duration("90d")),
    )


def guided_strategy() -> StrategyPlan:
    """Return the strategy that shows guided training beside the project's own code."""
    return _usual("guided-monthly", "Guided training instead of the project's own code, refitted every month", None)


def _own(charter: Charter) -> tuple[StrategyPlan, ...]:
    return tuple(
        StrategyPlan(
            name=policy.name,
            description=_describe(policy),
            policies=(policy,),
            window=policy.window,
            gated=True,
        )
        for policy in charter.retraining
    )


def _describe(policy: RetrainingPolicy) -> str:
    when = " or ".join(trigger.text for trigger in policy.triggers)
    data = f"on the last {policy.window}" if policy.window else "on all history"
    return f"As the charter says: {when}, {data}, inside the envelope"


def _usual(name: str, description: str, window: Duration | None) -> StrategyPlan:
    return StrategyPlan(name, description, (RetrainingPolicy(name, (_MONTHLY,), window),), window)
