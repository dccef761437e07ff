"""What did a rehearsal show? The frozen record between the loop that plays it and whoever reads it.

`as_json` gives the documented JSON of ``trueup rehearse --json``: plain numbers, no time of day, no host, so that two
runs give the same document.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from trueup.lake.estimates import Contradiction, Estimate
from trueup.lake.incidents import DataIncident


@dataclass(frozen=True)
class Window:
    """One calendar window of a strategy."""

    start: str
    end: str
    rows: int
    label_maturity: float
    """Share of the window's cases whose outcome was final when the rehearsal ended, 0 to 1."""
    value: float | None
    """Payoff minus the baseline's payoff on the same cases, in the currency; None when no outcome is final."""
    auc: float | None = None
    mae: float | None = None
    accuracy: float | None = None
    log_loss: float | None = None
    estimated_value: float | None = None
    """What the model itself expected of the same decisions, in the currency."""
    mean_score: float | None = None
    outcome_rate: float | None = None
    cases_acted: int | None = None
    true_positives: int | None = None
    baseline_payoff: float | None = None
    estimate: Estimate | None = None
    """What could be said of it at its end, and what became of that; None where scores are no probabilities."""


@dataclass(frozen=True)
class Release:
    """A model that went live in a rehearsal, or was refused, or was taken back."""

    at: str
    model: str
    """Name of the model version, such as ``never-1`` or ``charter-4``."""
    kind: str
    """first, retrained, refused or rollback."""
    reason: str
    """What triggered it and what was decided, in words."""
    trained_rows: int = 0
    trained_from: str | None = None
    trained_to: str | None = None
    latest_final_at: str | None = None
    """When the youngest outcome used became final; never after `at`."""
    value_gain: float | None = None
    """Value per case against the champion on cases that became final since, in the currency."""
    value_gain_interval: tuple[float, float] | None = None
    change_in_cases: float | None = None


@dataclass(frozen=True)
class Strategy:
    """One way to run the model through the year."""

    name: str
    description: str
    value: float
    """Over the whole rehearsal on final cases, in the currency, before `retraining_cost`."""
    value_interval: tuple[float, float]
    """90 % interval by resampling weeks."""
    retraining_cost: float
    """What its retrainings cost, in the currency."""
    net_value: float
    cases_acted: int | None
    max_cases_in_period: int | None
    capacity_filled: float | None
    """Share of the capacity that was used, 0 to 1."""
    value_of_one_more_case: float | None
    """What one more unit of capacity a period would have earned, in the currency per period."""
    releases: tuple[Release, ...]
    windows: tuple[Window, ...]
    kpis: tuple[KpiResult, ...] = ()
    guards: tuple[GuardResult, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    """Models whose estimates final outcomes contradicted, in order."""


@dataclass(frozen=True)
class KpiResult:
    """A KPI over the whole rehearsal."""

    name: str
    value: float | None
    target: str | None
    met: bool | None


@dataclass(frozen=True)
class GuardResult:
    """A guard over the whole rehearsal."""

    name: str
    value: float | None
    limit: str
    breaches: int
    breach: str


@dataclass(frozen=True)
class Notice:
    """A warning about the data or the run; `code` is stable."""

    code: str
    message: str
    column: str | None = None
    effect: float | None = None
    """What keeping the column, or the mistake, changes: in AUC, or in the metric the message names."""


@dataclass(frozen=True)
class FeatureDrift:
    """How a feature moved in a window against the cases that the first promise rests on."""

    feature: str
    window: str
    shift: float
    """Jensen-Shannon distance, base 2, 0 to 1."""
    missing_share: float
    new_share: float
    """Share of cases in categories that the reference never had; 0 for numbers."""
    effect_on_value: float | None
    """First-order estimate of what the shift changes per case, in the currency; see `observe.drift_cost`."""
    beyond_chance: bool = False
    """Whether it is a loss beyond three standard errors; else the shift stays quiet."""


@dataclass(frozen=True)
class Rehearsal:
    """The whole result."""

    project: str
    title: str
    task: str
    objective: str
    currency: str
    charter_digest: str
    table_version: str
    start: str
    end: str
    turns: int
    rows: int
    capacity: dict[str, Any] | None
    """``{"cases": 300, "per": "month"}``."""
    assumptions: tuple[str, ...]
    """What the figures rest on, in words (share of calls that succeed, what the baseline is, ...)."""
    strategies: tuple[Strategy, ...]
    recommended: str
    reason: str
    warnings: tuple[Notice, ...] = ()
    drift: tuple[FeatureDrift, ...] = ()
    incidents: tuple[DataIncident, ...] = ()
    """Columns that broke, the costliest first; no drift."""
    candidates: tuple[dict[str, Any], ...] = ()
    """Guided training's comparison table: name, value, interval, metric, chosen."""
    promise: dict[str, Any] | None = None
    """``{"value", "per", "interval"}`` of the recommended strategy."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Further figures for the report, by name."""

    @property
    def suspected_features(self) -> tuple[str, ...]:
        """Return the columns that models learned from although they may give the outcome away."""
        kept = self.facts.get("kept_columns", ())
        return tuple(k["column"] for k in kept if k["role"] == "feature" and k["suspected"])

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return asdict(self)
