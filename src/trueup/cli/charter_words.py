"""What does a charter say, in words a sponsor reads?"""

from __future__ import annotations

from collections.abc import Iterator

from trueup.align.charter import Charter, PayoffMatrix, PayoffPerCase, Project, RetrainingPolicy


def describe_project(project: Project) -> list[str]:
    """Return one line a fact, the important ones first."""
    charter, data = project.charter, project.data
    lines = [f"{project.title} ({project.task})", f"  {charter.objective}", ""]
    lines += [f"  {name:<12}{text}" for name, text in _facts(charter)]
    lines.append(f"  {'data':<12}{data.source}, label {data.label}, time {data.time or 'unknown'}")
    lines.append(f"  {'model':<12}{project.train.pipeline or 'guided training'}")
    return lines


def _facts(charter: Charter) -> Iterator[tuple[str, str]]:
    yield "payoff", _payoff(charter.payoff, charter.currency)
    if charter.action == "prevents":
        yield "acting", f"prevents the outcome in {charter.success_share or 0:.0%} of the cases (a signed assumption)"
    yield "baseline", charter.baseline_rule or "nobody acts"
    if charter.capacity:
        yield "capacity", f"{charter.capacity.cases} cases a {charter.capacity.per}, {charter.timezone}"
    for kpi in charter.kpis:
        yield "KPI", f"{kpi.name} {kpi.target or ''}".rstrip()
    for guard in charter.guards:
        yield "guard", f"{guard.name} {guard.limit}, else {guard.breach}"
    for policy in charter.retraining:
        yield "retraining", _policy(policy)
    yield "sponsor", charter.sponsor
    if charter.promise:
        yield "promise", f"{charter.promise.value:,.0f} {charter.currency} a {charter.promise.per}"


def _payoff(payoff: PayoffMatrix | PayoffPerCase, currency: str) -> str:
    if isinstance(payoff, PayoffPerCase):
        return f"{payoff.per_case} {currency}"
    parts = (
        f"right alarm {payoff.true_positive}",
        f"false alarm {payoff.false_positive}",
        f"missed {payoff.false_negative}",
        f"rightly left alone {payoff.true_negative}",
    )
    return f"{', '.join(parts)} ({currency} a case)"


def _policy(policy: RetrainingPolicy) -> str:
    when = " or ".join(trigger.text for trigger in policy.triggers)
    return f"{policy.name}: {when}, on {f'the last {policy.window}' if policy.window else 'all history'}"
