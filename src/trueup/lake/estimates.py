"""What was said of a window before its outcomes were in, and what became of it? Records for whoever shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Performance and value of some cases; None where there is nothing to divide by."""

    cases: int
    auc: float | None = None
    outcome_rate: float | None = None
    """Share of positive outcomes, 0 to 1."""
    accuracy: float | None = None
    """Of the decisions: acted on and positive, or let pass and negative."""
    precision: float | None = None
    """Of the cases acted on, the share that is positive."""
    recall: float | None = None
    """Of the positive cases, the share that was acted on."""
    log_loss: float | None = None
    brier: float | None = None
    value: float | None = None
    """Payoff minus the baseline's payoff, in the currency."""


@dataclass(frozen=True)
class FinalValue:
    """What a window was expected to come to, as known at some moment."""

    as_of: str
    final_share: float
    """Share of the window's cases whose outcome was final by then, 0 to 1."""
    so_far: float
    """Value of those cases, in the currency."""
    expected: float | None
    """That and what the open cases are expected to bring; None where too little is known to say."""
    interval: tuple[float, float] | None
    """Between which the final value lies, 9 chances in 10, while scores come true at the calibrated rates."""


@dataclass(frozen=True)
class Estimate:
    """A window as it looked at its end, beside what its outcomes made of it."""

    at: str
    """End of the window: nothing that became final later is in `status`, `expected` and `at_end`."""
    status: str
    """holds, unchecked (no outcome of its models yet), contradicted, outside (scores never seen), too_few."""
    reason: str
    """The same in words."""
    expected: Figures
    """From calibrated scores alone, of all cases of the window."""
    realised: Figures
    """Of the cases whose outcome is final when the rehearsal ended."""
    at_end: FinalValue
    now: FinalValue
    """The same when the data end."""
    outside_share: float = 0.0
    """Share of the cases with scores no outcome was seen for, 0 to 1."""
    came_true: bool | None = None
    """Whether value and AUC came as expected, once the window's outcomes were final; None before."""
    hindsight: str = ""
    """The same in words."""


@dataclass(frozen=True)
class Contradiction:
    """Final outcomes proved that a model's scores no longer come true at the rate they did."""

    model: str
    at: str
    """When it was proved."""
    since: str
    """When it began, by estimate."""
    delay_days: float
    """From the one to the other."""
    cases: int
    """Whose outcomes were final by then, with such scores, since it began."""
    expected_rate: float
    seen_rate: float
    reason: str
    """The same in words."""
