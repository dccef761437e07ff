"""Is this still the same charter, and if not, what changed and what is it worth?

The document is what gets signed: everything of the charter in one spelling. Two files that say the same have the same
digest, however they are laid out; a promise is part of it as soon as there is one, that is in the signed form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from trueup.align.charter import (
    Capacity,
    Charter,
    Envelope,
    ExposureStep,
    Guard,
    InterruptionLimit,
    Kpi,
    Payoff,
    PayoffMatrix,
    Promise,
    RetrainingPolicy,
    Trigger,
)
from trueup.align.triggers_text import parse_limit
from trueup.kernel.digests import canonical_json, digest_of
from trueup.kernel.durations import Duration
from trueup.kernel.money import money_text

FORMAT = "trueup-charter-1"
EffectOf = Callable[[Charter, Charter], float | None]
"""What the second charter would have been worth more than the first, on last month's cases, in the currency."""

_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?|\w+|<=|>=|<>|!=|::|\*\*|\S"
)
_KEYWORDS = frozenset({"and", "as", "between", "case", "cast", "else", "end", "false", "in", "is", "like", "not"}) | {
    *("null", "or", "then", "true", "when", "where"),
}
"""Reserved words, which no unquoted column can be called."""
_MONEY = frozenset({"payoff", "capacity", "action", "success_share", "control_group", "exploration_share"}) | {
    "baseline_rule",
}
"""What moves money by itself, with the same model."""


# --- the document and its digest


def charter_document(charter: Charter) -> dict[str, Any]:
    """Return the charter as JSON values in one canonical form.

    Expressions keep their words but not their white space, number spelling (30, 30.0) or keyword case; durations,
    limits and triggers are written out from what they mean; reviewers, KPIs, guards and policies stand in the order of
    their names. What is not agreed is left out.
    """
    document = {
        "format": FORMAT,
        "objective": " ".join(charter.objective.split()),
        "currency": charter.currency,
        "timezone": charter.timezone,
        "sponsor": charter.sponsor,
        "action": charter.action,
        "success_share": charter.success_share,
        "payoff": _payoff(charter.payoff),
        "capacity": _cases_per(charter.capacity),
        "baseline_rule": _expression(charter.baseline_rule),
        "fallback": _expression(charter.fallback),
        "control_group": charter.control_group,
        "exploration_share": charter.exploration_share,
        "p99_ms": charter.p99_ms,
        "interruption_limit": _cases_per(charter.interruption_limit),
        "retraining_cost": charter.retraining_cost,
        "exposure": [_step(step) for step in charter.exposure],
        "reviewers": sorted(charter.reviewers),
        "kpis": [_kpi(kpi) for kpi in sorted(charter.kpis, key=lambda kpi: kpi.name)],
        "guards": [_guard(guard) for guard in sorted(charter.guards, key=lambda guard: guard.name)],
        "retraining": [_policy(policy) for policy in sorted(charter.retraining, key=lambda policy: policy.name)],
        "envelope": _envelope(charter.envelope),
        "promise": _promise(charter.promise),
    }
    plain = _one_spelling(document)
    return dict(plain)


def charter_digest(charter: Charter) -> str:
    """Return the SHA-256 of the charter's document, as 64 hexadecimal digits: its version."""
    return digest_of(charter_document(charter))


def canonical_expression(text: str) -> str:
    """Return an expression's words with one space between them, numbers and keywords in one spelling.

    Examples
    --------
    >>> canonical_expression("-0.850*amount   and x>1.0")
    '- 0.85 * amount AND x > 1'
    """
    return " ".join(_word(match[0]) for match in _TOKEN.finditer(text))


def _word(token: str) -> str:
    if token[0] in "'\"":
        return token
    if token[0].isdigit() or (token[0] == "." and len(token) > 1):
        number = float(token.replace("_", ""))
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    if token.lower() in _KEYWORDS:
        return token.upper()
    return {"!=": "<>"}.get(token, token)


def _expression(text: str | None) -> str | None:
    return None if text is None else canonical_expression(text)


def _one_spelling(value: Any) -> Any:
    """Return the value without None entries, whole numbers as integers."""
    if isinstance(value, dict):
        return {key: _one_spelling(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_one_spelling(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _payoff(payoff: Payoff) -> dict[str, Any]:
    if isinstance(payoff, PayoffMatrix):
        return {name: canonical_expression(text) for name, text in vars(payoff).items()}
    return {"per_case": canonical_expression(payoff.per_case)}


def _cases_per(capacity: Capacity | InterruptionLimit | None) -> dict[str, Any] | None:
    return None if capacity is None else {"cases": capacity.cases, "per": capacity.per}


def _step(step: ExposureStep) -> dict[str, Any]:
    return {"kind": step.kind, "share": step.share, "length": _length(step.length)}


def _kpi(kpi: Kpi) -> dict[str, Any]:
    target = None if kpi.target is None else str(parse_limit(kpi.target))
    return {"name": kpi.name, "sql": canonical_expression(kpi.sql), "target": target}


def _guard(guard: Guard) -> dict[str, Any]:
    return {
        "name": guard.name,
        "count": canonical_expression(guard.count),
        "per": canonical_expression(guard.per),
        "limit": str(guard.limit),
        "window": _length(guard.window),
        "breach": guard.breach,
    }


def _policy(policy: RetrainingPolicy) -> dict[str, Any]:
    triggers = sorted((_trigger(trigger) for trigger in policy.triggers), key=canonical_json)
    return {"name": policy.name, "triggers": triggers, "window": _length(policy.window)}


def _trigger(trigger: Trigger) -> dict[str, Any]:
    return _one_spelling(  # type: ignore[no-any-return]  # a dict in, a dict out
        {
            "kind": trigger.kind,
            "every": _length(trigger.every) or trigger.every_period,
            "metric": trigger.metric,
            "limit": None if trigger.limit is None else str(trigger.limit),
            "of": _compared_with(trigger) if trigger.relative_to_promise else None,
            "window": _length(trigger.window),
            "count": trigger.count,
        }
    )


def _compared_with(trigger: Trigger) -> str:
    return "release" if (trigger.metric or "").endswith("performance") else "promise"


def _envelope(envelope: Envelope) -> dict[str, Any]:
    return dict(vars(envelope))


def _promise(promise: Promise | None) -> dict[str, Any] | None:
    return None if promise is None else {**vars(promise), "interval": list(promise.interval)}


def _length(duration: Duration | None) -> str | None:
    return None if duration is None else str(duration)


# --- what changed


@dataclass(frozen=True)
class Change:
    """One difference between two charters, in words."""

    key: str
    """As in the project file, without ``charter.``."""
    words: str
    effect: float | None = None
    """What it would have meant on last month's cases, in the currency; None where that was not asked or is unknown."""

    @property
    def moves_money(self) -> bool:
        """Whether it can decide cases differently with the same model, so that it has a price."""
        return self.key.split(".")[0] in _MONEY

    def text(self, currency: str, *, cases: str = "last month's cases") -> str:
        """Return the change as people read it; `cases` names those it was priced on.

        Examples
        --------
        >>> Change("capacity", "capacity 100 -> 120 a day", 31_000.0).text("EUR")
        "capacity 100 -> 120 a day: +€31,000 on last month's cases"
        """
        if self.effect is None:
            return self.words
        if round(self.effect) == 0:
            return f"{self.words}: no difference on {cases}"
        return f"{self.words}: {money_text(self.effect, currency, signed=True)} on {cases}"


def describe_changes(old: Charter, new: Charter, *, effect_of: EffectOf | None = None) -> tuple[Change, ...]:
    """Return what is different in `new`, one entry for each thing agreed; nothing for another layout of the same.

    Parameters
    ----------
    effect_of : callable, optional
        Prices a change: called with `old` and with `old` in which only this one thing is changed, for each change that
        moves money by itself (payoff, capacity, baseline, shares). Effects of several changes do not add up.
    """
    changes = []
    for key, words, single in _differences(old, new):
        change = Change(key, words)
        if effect_of and change.moves_money:
            change = replace(change, effect=effect_of(old, single))
        changes.append(change)
    return tuple(changes)


_Difference = tuple[str, str, Charter]


def _differences(old: Charter, new: Charter) -> Iterator[_Difference]:
    before, after = charter_document(old), charter_document(new)
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) == after.get(key):
            continue
        changed = replace(old, **{key: getattr(new, key)})
        if key == "payoff" and isinstance(old.payoff, PayoffMatrix) and isinstance(new.payoff, PayoffMatrix):
            yield from _payoff_differences(old, new.payoff)
        elif key in ("kpis", "guards", "retraining"):
            for words in _named_differences(key, before[key], after[key]):
                yield key, words, changed
        else:
            yield key, _words(key, before.get(key), after.get(key)), changed


def _payoff_differences(old: Charter, payoff: PayoffMatrix) -> Iterator[_Difference]:
    for result, text in vars(payoff).items():
        before = getattr(old.payoff, result)
        if canonical_expression(before) != canonical_expression(text):
            words = f"{result.replace('_', ' ')} {before} -> {text}"
            yield f"payoff.{result}", words, replace(old, payoff=replace(old.payoff, **{result: text}))


def _named_differences(key: str, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[str]:
    kind = {"kpis": "KPI", "guards": "guard", "retraining": "retraining policy"}[key]
    earlier, later = ({part["name"]: part for part in parts} for parts in (before, after))
    for name in dict.fromkeys((*earlier, *later)):
        if name not in later:
            yield f'{kind} "{name}" removed'
        elif name not in earlier:
            yield f'{kind} "{name}" added'
        else:
            for part in dict.fromkeys((*earlier[name], *later[name])):
                seen, wanted = earlier[name].get(part), later[name].get(part)
                if seen != wanted:
                    yield f'{kind} "{name}": {part} {_shown(seen)} -> {_shown(wanted)}'


def _words(key: str, before: Any, after: Any) -> str:
    name = key.replace("_", " ")
    if key in ("capacity", "interruption_limit") and before and after and before["per"] == after["per"]:
        return f"{name} {before['cases']} -> {after['cases']} a {after['per']}"
    if key == "objective":
        return f'objective "{before}" -> "{after}"'
    return f"{name} {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, dict):
        return _shown_record(value)
    if isinstance(value, list):
        return ", ".join(_shown(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _shown_record(value: dict[str, Any]) -> str:
    if set(value) == {"cases", "per"}:
        return f"{value['cases']} a {value['per']}"
    if "kind" in value and "share" in value:
        share = f" {value['share']:.0%}" if value["kind"] == "canary" else ""
        return f"{value['kind']}{share} {value.get('length', '')}".strip()
    if "kind" in value:
        parts = [value.get("metric") or value["kind"].replace("_", " "), value.get("limit"), value.get("every")]
        parts += [
            f"of {value['of']}" if "of" in value else None,
            value.get("count"),
            f"over {value['window']}" if "window" in value else None,
        ]
        return " ".join(str(part) for part in parts if part is not None)
    return ", ".join(f"{key.replace('_', ' ')} {_shown(part)}" for key, part in value.items())
