"""Which inputs broke, when, where, and what did it change? One row per incident."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.lake.incidents import DataIncident
from trueup.lake.rehearsals import Rehearsal
from trueup.observe.data_incidents import cause_words
from trueup.observe.report.figures import date_text, plural


@dataclass(frozen=True)
class IncidentRow:
    """An incident in words."""

    fact: DataIncident
    days: str
    """``15 May 2024 to 28 May 2024``."""
    text: str
    changed: str
    """``11 decisions changed``; empty where nothing is decided."""


def incident_rows(rehearsal: Rehearsal) -> tuple[IncidentRow, ...]:
    """Return the incidents of a rehearsal, in its order: the costliest first."""
    return tuple(_row(fact) for fact in rehearsal.incidents)


def _row(fact: DataIncident) -> IncidentRow:
    first = date_text(fact.first_day)
    days = f"since {first}" if fact.ongoing else f"{first} to {date_text(fact.last_day)}"
    changed = "" if fact.decisions_changed is None else f"{plural(fact.decisions_changed, 'decision')} changed"
    return IncidentRow(fact, days, f"{cause_words(fact)}.", changed)
