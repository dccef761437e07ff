"""What did a rehearsal show, on a terminal?"""

from __future__ import annotations

from trueup.kernel.money import money_text
from trueup.lake.incidents import DataIncident
from trueup.lake.rehearsals import Rehearsal, Strategy
from trueup.observe.data_incidents import cause_words


def describe_rehearsal(rehearsal: Rehearsal) -> list[str]:
    """Return the strategies as a table, the recommendation, the warnings and what the figures rest on."""
    span = f"{rehearsal.start[:10]} to {rehearsal.end[:10]}"
    lines = [
        f"{rehearsal.title}: {span}, {rehearsal.rows:,} cases, {rehearsal.turns:,} turns",
        "",
        f"  {'strategy':<22}{'value':>14}{'90 % interval':>30}{'retrainings cost':>18}{'acted':>9}{'most':>6}",
    ]
    lines += [_line(s, rehearsal.currency, chosen=s.name == rehearsal.recommended) for s in rehearsal.strategies]
    lines += ["", f"Recommended: {rehearsal.recommended}. {rehearsal.reason[:1].upper()}{rehearsal.reason[1:]}"]
    lines += _incident_lines(rehearsal)
    if rehearsal.warnings:
        lines += ["", "Worth knowing about the data:"]
        lines += [f"  [{w.code}] {w.message}" for w in rehearsal.warnings]
    lines += _kept_lines(rehearsal)
    return [*lines, "", *(f"* {text}" for text in rehearsal.assumptions)]


def _incident_lines(rehearsal: Rehearsal) -> list[str]:
    """Return the columns that broke, one line each."""
    lines = [_incident_line(incident, rehearsal.currency) for incident in rehearsal.incidents]
    return ["", "Data that broke, which is no drift:", *lines] if lines else []


def _incident_line(incident: DataIncident, currency: str) -> str:
    until = "the end" if incident.ongoing else incident.last_day
    line = f"  {incident.column}, {incident.first_day} to {until}: {cause_words(incident)}"
    if incident.decisions_changed is not None:
        line += f"; decisions of the first model changed: {incident.decisions_changed:,}"
    if incident.effect_on_value is not None:
        line += f", {money_text(incident.effect_on_value, currency, signed=True)} on final cases"
    return line


def _kept_lines(rehearsal: Rehearsal) -> list[str]:
    """Return what keeping each excluded column would have changed, the largest change first."""
    kept = [k for k in rehearsal.facts.get("kept_columns", ()) if k["role"] == "excluded"]
    if not kept:
        return []
    kept.sort(key=lambda k: (-abs(k["effect"]), k["column"]))
    said = [f"  {k['column']}: {k['metric']} {k['without']:.3f} -> {k['kept']:.3f}" for k in kept]
    return ["", "Keeping an excluded column would have changed, on later rows:", *said]


def _line(strategy: Strategy, currency: str, *, chosen: bool) -> str:
    bounds = strategy.value_interval
    interval = f"{bounds[0]:,.0f} to {bounds[1]:,.0f}"
    acted = "" if strategy.cases_acted is None else f"{strategy.cases_acted:,}"
    most = "" if strategy.max_cases_in_period is None else f"{strategy.max_cases_in_period:,}"
    return (
        f"{'>' if chosen else ' '} {strategy.name:<22}{f'{strategy.value:,.0f} {currency}':>14}{interval:>30}"
        f"{strategy.retraining_cost:>18,.0f}{acted:>9}{most:>6}"
    )
