"""What do "every 30d", "drift_cost > 5% of promise for 7d" and "canary 10% 2d" mean?

Short texts of a charter that are not SQL: triggers of retraining, steps of a release, limits. Each parser raises
ValueError with what is allowed.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal, get_args

from trueup.align.charter import ExposureStep, Limit, Metric, Trigger
from trueup.kernel.durations import PERIODS, BadDuration, Duration, parse_duration
from trueup.kernel.errors import nearest_spelling

METRICS: tuple[str, ...] = get_args(Metric)
TRIGGER_EXAMPLES = (
    '"every 30d", "every month", "drift_cost > 5% of promise for 7d", "realised_value < 80% of promise over 30d", '
    '"estimated_performance < 95% of release over 30d", "new_final_outcomes >= 5000"'
)
_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_LIMIT = re.compile(rf"\s*(<=|>=|<|>)\s*({_NUMBER})\s*")
_COUNT = re.compile(r"new_final_outcomes\s*>=\s*([\d_]+)")
_CONDITION = re.compile(
    rf"(\w+)\s*(<=|>=|<|>)\s*({_NUMBER})\s*(%)?(?:\s+of\s+(\w+))?(?:\s+(?:for|over)\s+(\d+(?:\.\d+)?\s*\w+))?"
)
_CANARY = re.compile(r"canary\s+(\d+(?:\.\d+)?)\s*%\s+(\S+)")
_SHADOW = re.compile(r"shadow\s+(\S+)")


def parse_limit(text: str) -> Limit:
    """Return a comparison with a number.

    Examples
    --------
    >>> parse_limit("<= 4.0")
    Limit(operator='<=', value=4.0)
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a limit; write <=, <, >= or > and a number, such as "<= 4.0"')
    return Limit(_operator(match[1]), float(match[2]))


def parse_trigger(text: str) -> Trigger:
    """Return one condition of a retraining policy.

    Raises
    ------
    ValueError
        With what is allowed.

    Examples
    --------
    >>> parse_trigger("realised_value < 80% of promise over 30d").limit
    Limit(operator='<', value=0.8)
    """
    plain = " ".join(text.split())
    if plain.startswith("every "):
        return _every(text, plain.removeprefix("every "))
    count = _COUNT.fullmatch(plain)
    if count is not None:
        outcomes = int(count[1].replace("_", "") or 0)
        if outcomes < 1:
            raise ValueError(f'"{text}" asks for {outcomes} outcomes; 1 or more are needed')
        return Trigger(text, "new_final_outcomes", count=outcomes)
    condition = _CONDITION.fullmatch(plain)
    if condition is None:
        raise ValueError(f'"{text}" is not a trigger{_hint(plain)}; allowed: {TRIGGER_EXAMPLES}')
    return _metric(text, condition)


def parse_exposure(text: str) -> ExposureStep:
    """Return one step of a release on its way to everybody.

    Examples
    --------
    >>> parse_exposure("canary 10% 2d").share
    0.1
    """
    plain = " ".join(text.split())
    if plain == "full":
        return ExposureStep("full", 1.0, None)
    shadow = _SHADOW.fullmatch(plain)
    if shadow is not None:
        return ExposureStep("shadow", 0.0, _length(text, shadow[1]))
    canary = _CANARY.fullmatch(plain)
    if canary is None:
        raise ValueError(f'"{text}" is not a step; allowed: "shadow 1d", "canary 10% 2d", "full"')
    share = float(canary[1]) / 100
    if not 0 < share < 1:
        raise ValueError(
            f'"{text}" gives the new model {canary[1]} % of cases; a canary has more than 0 and less than 100'
        )
    return ExposureStep("canary", share, _length(text, canary[2]))


def check_exposure(steps: tuple[ExposureStep, ...]) -> None:
    """Raise ValueError unless the steps only ever show the model to more cases, and end with everybody."""
    if not steps or steps[-1].kind != "full":
        raise ValueError('the last step must be "full", as in ["shadow 1d", "canary 10% 2d", "full"]')
    for earlier, later in pairwise(steps):
        if later.share <= earlier.share:
            seen = f"{earlier.kind} ({earlier.share:.0%}) is followed by {later.kind} ({later.share:.0%})"
            raise ValueError(f"{seen}; each step must show the model to more cases than the one before")


def _every(text: str, rest: str) -> Trigger:
    if rest in PERIODS:
        return Trigger(text, "every", every_period=rest)
    try:
        return Trigger(text, "every", every=_length(text, rest))
    except ValueError:
        hint = nearest_spelling(rest, PERIODS)
        periods = ", ".join(PERIODS)
        raise ValueError(
            f'"{text}" is not a rhythm{hint}; write every and a duration (every 30d), or one of {periods}'
        ) from None


def _metric(text: str, found: re.Match[str]) -> Trigger:
    name, operator, number, percent, base, window = found.groups()
    if name not in METRICS:
        raise ValueError(
            f'"{name}" is not watched{_hint(name)}; allowed: {", ".join((*METRICS, "new_final_outcomes"))}'
        )
    expected = "release" if name.endswith("performance") else "promise"
    if base is not None and base != expected:
        raise ValueError(f'"{text}": {name} is compared with the {expected}, not with "{base}"; write of {expected}')
    if bool(percent) != bool(base):
        raise ValueError(f'"{text}": a share needs both, as in "{name} {operator} 80% of {expected} over 30d"')
    wanted = ">" if name == "drift_cost" else "<"
    if not operator.startswith(wanted):
        raise ValueError(f'"{text}": {name} gets worse as it {_moves(wanted)}, so write {name} {wanted}')
    if window is None:
        raise ValueError(f'"{text}" has no window; add one, as in "{" ".join(text.split())} over 30d"')
    value = float(number) / 100 if percent else float(number)
    limit = Limit(_operator(operator), value)
    metric: Metric = name  # type: ignore[assignment]  # one of METRICS
    return Trigger(
        text, "metric", metric=metric, limit=limit, relative_to_promise=bool(base), window=_length(text, window)
    )


def _moves(sign: str) -> str:
    return "rises" if sign == ">" else "falls"


def _hint(seen: str) -> str:
    words = seen.split()
    return nearest_spelling(words[0], (*METRICS, "new_final_outcomes", "every")) if words else ""


def _length(text: str, written: str) -> Duration:
    try:
        length = parse_duration(written)
    except BadDuration as error:
        raise ValueError(f'"{text}": {error.message}') from error
    if length.microseconds == 0:
        raise ValueError(f'"{text}": the length must be above 0')
    return length


def _operator(sign: str) -> Literal["<=", "<", ">=", ">"]:
    return {"<=": "<=", "<": "<", ">=": ">=", ">": ">"}[sign]  # type: ignore[return-value]  # the pattern has only these
