"""What is the one sentence the sponsor came for, and how sure is it?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trueup.align.charter import Charter, PayoffPerCase, RetrainingPolicy
from trueup.lake.rehearsals import Rehearsal, Strategy
from trueup.observe.report.figures import money_range, plural, short_money, span_text

Tone = Literal["good", "warn", "bad", "idle"]
_RHYTHMS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter"}
_RHYTHM = re.compile(r"^(hourly|daily|weekly|monthly|quarterly|yearly)\b[-_ ]*(?:(\d+)([dwm]))?$")
_UNITS = {"d": "day", "w": "week", "m": "month"}


@dataclass(frozen=True)
class Answer:
    """The answer, before the proof."""

    tone: Tone
    word: str
    """Yes. / Probably. / Not worth retraining. / No. / Not yet."""
    say: str
    how: str
    status: str
    """Two or three words for the pill beside the title."""


def net_interval(strategy: Strategy) -> tuple[float, float]:
    """Return the 90 % interval of the value after the retrainings are paid: a known cost moves it, nothing else."""
    low, high = strategy.value_interval
    return low - strategy.retraining_cost, high - strategy.retraining_cost


def recommended_strategy(rehearsal: Rehearsal) -> Strategy | None:
    """Return the recommended strategy; the best by net value when the name is not among them; None without any."""
    named = [s for s in rehearsal.strategies if s.name == rehearsal.recommended]
    return named[0] if named else max(rehearsal.strategies, key=lambda s: s.net_value, default=None)


def compared_strategy(rehearsal: Rehearsal, chosen: Strategy) -> Strategy | None:
    """Return what the recommendation is compared with: never retraining, or the best other when that was chosen."""
    others = [s for s in rehearsal.strategies if s.name != chosen.name]
    never = [s for s in others if s.name == "never"]
    return never[0] if never else max(others, key=lambda s: s.net_value, default=None)


def model_phrase(strategy: Strategy, charter: Charter) -> str:
    """Return what the strategy is in a sentence: ``a model that is never refitted``."""
    if strategy.name == "never":
        return "a model that is never refitted"
    rhythm = _RHYTHM.match(strategy.name)
    if rhythm:
        period = "year" if rhythm[1] == "yearly" else _RHYTHMS[rhythm[1]]
        window = f" on the last {plural(int(rhythm[2]), _UNITS[rhythm[3]])}" if rhythm[2] else ""
        return f"a model refitted every {period}{window}"
    policies = [p for p in charter.retraining if p.name == strategy.name]
    return _policy_phrase(policies[0]) if policies else f"a model refitted as in “{strategy.name}”"


def _policy_phrase(policy: RetrainingPolicy) -> str:
    every = policy.triggers[0] if len(policy.triggers) == 1 and policy.triggers[0].kind == "every" else None
    if every is None:
        return f"a model refitted under the charter’s policy “{policy.name}”"
    rhythm = every.every_period or (plural(round(every.every.days), "day") if every.every else "so often")
    window = f" on the last {plural(round(policy.window.days), 'day')}" if policy.window else ""
    return f"a model refitted every {rhythm}{window}"


def earned_word(rehearsal: Rehearsal, amount: float) -> str:
    """Return the verb for an amount: a decision earns, a better forecast saves, a negative one loses."""
    if amount < 0:
        return "lost"
    return "saved" if rehearsal.task == "regression" else "earned"


def baseline_phrase(rehearsal: Rehearsal, charter: Charter) -> str:
    """Return what every value is measured against, in words."""
    if charter.baseline_rule is not None:
        return "with what your rule before the model would have brought on the same cases"
    if rehearsal.task == "regression":
        return "with always predicting the average seen so far"
    if isinstance(charter.payoff, PayoffPerCase):
        return "with always giving the most frequent answer so far"
    return "with doing nothing on the same cases"


def answer_of(rehearsal: Rehearsal, charter: Charter) -> Answer:
    """Return the sponsor's sentence for a rehearsal.

    "Yes" needs the lower end of the 90 % interval of the net value above 0; a positive value with a lower end at or
    below 0 is only "Probably".
    """
    chosen = recommended_strategy(rehearsal)
    if chosen is None:
        return Answer("idle", "No answer yet.", "Nothing was rehearsed.", rehearsal.reason, "Nothing rehearsed")
    low, high = net_interval(chosen)
    how = (
        f"Likely {money_range(low, high, rehearsal.currency)} (9 chances in 10), after the cost of retraining. "
        f"Compared {baseline_phrase(rehearsal, charter)}."
    )
    word, tone, status = _verdict(chosen, low, alone=len(rehearsal.strategies) == 1)
    if rehearsal.suspected_features:
        names = ", ".join(f"“{name}”" for name in rehearsal.suspected_features)
        word, tone, status = "Not yet.", "warn", "Check the data"
        how = f"{names} may not be known when a case is decided; until that is settled, no figure here counts. {how}"
    return Answer(tone, word, _sentence(rehearsal, charter, chosen), how, status)


def _verdict(chosen: Strategy, low: float, *, alone: bool) -> tuple[str, Tone, str]:
    if chosen.net_value <= 0:
        return "No.", "bad", "Not worth it"
    if low <= 0:
        return "Probably.", "warn", "Not certain"
    if chosen.name == "never" and not alone:
        return "Not worth retraining.", "idle", "Worth it, never retrain"
    return "Yes.", "good", "Worth it"


def _sentence(rehearsal: Rehearsal, charter: Charter, chosen: Strategy) -> str:
    phrase = model_phrase(chosen, charter)
    other = compared_strategy(rehearsal, chosen)
    said = (
        f"{phrase[0].upper()}{phrase[1:]} would have {earned_word(rehearsal, chosen.net_value)} "
        f"{short_money(abs(chosen.net_value), rehearsal.currency)} over {span_text(rehearsal.start, rehearsal.end)}"
    )
    if other is None:
        return f"{said}."
    verb = ""
    if earned_word(rehearsal, other.net_value) != earned_word(rehearsal, chosen.net_value):
        verb = f"would have {earned_word(rehearsal, other.net_value)} "
    amount = short_money(abs(other.net_value), rehearsal.currency)
    return f"{said}; {model_phrase(other, charter)} {verb}{amount}."
