"""What did the business and the data people agree on?

The records that `trueup.toml` is parsed into, once. Everything that decides or moves money is in `Charter`, and only
there; the rest of the project file is mechanics. Records hold expressions as the SQL text that was signed; they are
compiled where they are used (`align/payoff.py`, `align/decision.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trueup.align.data_source import Connection, Source
from trueup.align.quality_rules import QualityRule
from trueup.kernel.durations import Duration, parse_duration
from trueup.kernel.periods import Calendar

DEFAULT_HORIZON = parse_duration("60d")
ActionKind = Literal["reveals", "prevents"]
Breach = Literal["alert", "rollback", "fallback"]
Metric = Literal["drift_cost", "realised_value", "estimated_value", "realised_performance", "estimated_performance"]


@dataclass(frozen=True)
class PayoffMatrix:
    """What each result of a yes-or-no decision is worth in itself, per case: SQL over the row, in the currency."""

    true_positive: str
    false_positive: str
    false_negative: str
    true_negative: str


@dataclass(frozen=True)
class PayoffPerCase:
    """What a prediction is worth: SQL over the row, `prediction` and `outcome`, in the currency.

    For regression `prediction` and `outcome` are numbers, for several classes they are the classes.
    """

    per_case: str


Payoff = PayoffMatrix | PayoffPerCase


@dataclass(frozen=True)
class Capacity:
    """The most cases people can handle in a period of the charter's calendar."""

    cases: int
    per: str
    """hour, day, week or month."""


@dataclass(frozen=True)
class Kpi:
    """A figure the business watches: aggregate SQL over `acted`, `outcome`, `score` and the row's columns."""

    name: str
    sql: str
    target: str | None
    """A comparison with a number, as in ``>= 0.70``; None when only watched."""


@dataclass(frozen=True)
class Limit:
    """A comparison with a number."""

    operator: Literal["<=", "<", ">=", ">"]
    value: float

    def allows(self, seen: float) -> bool:
        """Return whether `seen` keeps the limit."""
        return {"<=": seen <= self.value, "<": seen < self.value, ">=": seen >= self.value, ">": seen > self.value}[
            self.operator
        ]

    def __str__(self) -> str:
        return f"{self.operator} {self.value:g}"


@dataclass(frozen=True)
class Guard:
    """A condition that must stay true while the model decides; a ratio of two counts of cases."""

    name: str
    count: str
    """Boolean SQL over `acted`, `outcome`, `score` and the row's columns."""
    per: str
    limit: Limit
    window: Duration
    breach: Breach


@dataclass(frozen=True)
class Trigger:
    """One condition of a retraining policy, parsed."""

    text: str
    """As signed."""
    kind: Literal["every", "metric", "new_final_outcomes"]
    every: Duration | None = None
    every_period: str | None = None
    """``every month`` and the like: at the start of each calendar period."""
    metric: Metric | None = None
    limit: Limit | None = None
    relative_to_promise: bool = False
    """The limit is a share of the promise (for `realised_performance`, of the performance at release)."""
    window: Duration | None = None
    """``for 7d`` or ``over 30d``."""
    count: int | None = None
    """For ``new_final_outcomes >= 5000``."""


@dataclass(frozen=True)
class RetrainingPolicy:
    """When to retrain, and on which data."""

    name: str
    triggers: tuple[Trigger, ...]
    window: Duration | None
    """Training rows are those that happened in the last `window`; None takes all history."""


@dataclass(frozen=True)
class Envelope:
    """The limits inside which a retrained model may go live without a person."""

    min_value_gain: float = 0.0
    """Lower end of the 90 % interval of value per case against the champion, in the currency."""
    max_loss: float | None = None
    """A scheduled refit that is not worse than the champion by more than this share also passes (non-inferior)."""
    max_change_in_cases: float | None = None
    """Largest relative change in the number of cases that qualify, 0 or more."""


@dataclass(frozen=True)
class ExposureStep:
    """One step on a release's way to everybody."""

    kind: Literal["shadow", "canary", "full"]
    share: float
    """Share of cases the new model decides: 0 for shadow, 1 for full."""
    length: Duration | None
    """None for full."""


@dataclass(frozen=True)
class InterruptionLimit:
    """The most cases that may be decided by the fallback."""

    cases: int
    per: str


@dataclass(frozen=True)
class Promise:
    """What was rehearsed and is promised: value per period with its 90 % interval."""

    value: float
    per: str
    interval: tuple[float, float]
    rehearsal_digest: str


@dataclass(frozen=True)
class Charter:
    """The business agreement. Versioned by its digest; what is signed is exactly this record."""

    objective: str
    currency: str
    timezone: str
    sponsor: str
    payoff: Payoff
    capacity: Capacity | None
    action: ActionKind = "reveals"
    success_share: float | None = None
    """With `prevents`: the signed share of acted positive cases in which acting changes the outcome, 0 to 1."""
    baseline_rule: str | None = None
    """What decided before, boolean SQL (a number for regression); None: nobody acts (regression: the mean so far)."""
    fallback: str | None = None
    control_group: float = 0.0
    exploration_share: float = 0.0
    p99_ms: float | None = None
    interruption_limit: InterruptionLimit | None = None
    retraining_cost: float = 0.0
    exposure: tuple[ExposureStep, ...] = (ExposureStep("full", 1.0, None),)
    reviewers: tuple[str, ...] = ()
    kpis: tuple[Kpi, ...] = ()
    guards: tuple[Guard, ...] = ()
    retraining: tuple[RetrainingPolicy, ...] = ()
    envelope: Envelope = field(default_factory=Envelope)
    promise: Promise | None = None

    def calendar(self, per: str | None = None) -> Calendar:
        """Return the business calendar; by default the capacity's period, else days."""
        return Calendar(self.timezone, per or (self.capacity.per if self.capacity else "day"))


@dataclass(frozen=True)
class DataSpec:
    """Where the cases come from and what their columns mean."""

    source: Source
    label: str
    """A column, or SQL over the row."""
    case_id: tuple[str, ...] = ()
    """Columns that together name a case; empty: the row's number in time order."""
    time: str | None = None
    """A column, or SQL over the row: when the case happened and was decided. None: no time is known."""
    label_known_at: str | None = None
    label_final_at: str | None = None
    positive: str | None = None
    """Which value of a text label is the positive one; default: yes/true/1."""
    exclude: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    split: Literal["time", "random"] = "time"
    """A random split on dated data must be asked for."""
    rules: tuple[QualityRule, ...] = ()
    """What must be true of the rows before they are published."""


@dataclass(frozen=True)
class TrainSpec:
    """How models are made."""

    pipeline: str | None = None
    """``module:function`` in the project folder; None: guided training."""
    holdout: Duration | None = None
    trials: int = 40
    seed: int = 0

    @property
    def horizon(self) -> Duration:
        """Return how far back recipes are judged: the holdout, else 60 days."""
        return self.holdout or DEFAULT_HORIZON


@dataclass(frozen=True)
class RehearsalSpec:
    """Which past is played."""

    start: str | None = None
    """A local date such as ``2015-10-01``; None: after the first third of history."""
    end: str | None = None
    turn: Literal["hour", "day", "week", "month"] = "day"
    window: Literal["week", "month", "quarter"] = "month"
    """How the result is cut in the report."""


@dataclass(frozen=True)
class ServingSpec:
    """How predictions are kept."""

    durability: Literal["process", "disk"] = "process"


@dataclass(frozen=True)
class AcceptedVulnerability:
    """A known vulnerability that somebody answers for, until a day."""

    id: str
    """Of the advisory, or one of its aliases, such as CVE-2024-1234."""
    reason: str
    until: str
    """Last day in UTC on which it is accepted, such as 2027-06-30."""


@dataclass(frozen=True)
class PackageSpec:
    """What may ship."""

    vulnerabilities: Literal["prevent", "warn", "ignore"] = "prevent"
    """What a version with a known vulnerability does to packaging, where a database is given."""
    accepted: tuple[AcceptedVulnerability, ...] = ()


@dataclass(frozen=True)
class Project:
    """One use case: the signed charter and the mechanics beside it."""

    name: str
    title: str
    task: Literal["binary", "multiclass", "regression"]
    charter: Charter
    data: DataSpec
    train: TrainSpec
    rehearsal: RehearsalSpec
    serving: ServingSpec
    folder: str
    """The project folder; not part of any digest."""
    connections: tuple[Connection, ...] = ()
    package: PackageSpec = PackageSpec()
