"""What is a score worth for this row, and what do the old rule and the fallback say? For a server, without a parser.

`policy_document` compiles a project into a JSON document; packaging carries it in the bundle, and its digest is the
policy's version. `DecisionPolicy` runs the document: it needs neither the project nor an SQL parser, and gives the very
numbers that tables give (`align/payoff.py` over payoffs that DuckDB evaluated).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.align import case_reading
from trueup.align.errors import AlignError
from trueup.align.payoff import best_class
from trueup.kernel.digests import digest_of
from trueup.kernel.expression_terms import ExpressionError, Kind
from trueup.kernel.rowplan import Plan, compile_plan, plan_as_json, plan_from_json
from trueup.kernel.rowvalues import BadRowValue

if TYPE_CHECKING:
    from trueup.align.charter import Payoff, Project

FORMAT = "trueup-policy-1"
Row = Mapping[str, object]
_CELLS = ("true_positive", "false_positive", "false_negative", "true_negative")
_WAYS = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
"""Prediction and outcome of each cell."""
_RULES: dict[str, Kind | None] = {"binary": "boolean", "regression": "number", "multiclass": None}
"""What the old rule and the fallback give; for several classes the class."""
_OUTSIDE = frozenset({"prediction", "outcome"})


class BadPolicy(AlignError):
    """A document is no decision policy of this version."""

    code = "align.bad-policy"


# --- from project to document


def policy_document(project: Project) -> dict[str, Any]:
    """Return everything that decides under a charter, as JSON values: texts as signed, and plans a server runs.

    Raises
    ------
    ExpressionError
        When an expression of the project is none.

    Notes
    -----
    The document depends on nothing but the charter and where times, cases and people stand in a row, so that its digest
    (`kernel/digests.py`) is the policy's version.
    """
    charter = project.charter
    plans = {
        "payoff": _payoff_plans(project),
        "baseline_rule": _plan_of(charter.baseline_rule, "charter.baseline_rule", _rule_kind(project.task)),
        "fallback": _plan_of(charter.fallback, "charter.fallback", _rule_kind(project.task)),
        "time": _plan_of(project.data.time, "data.time", "moment"),
    }
    return {
        "format": FORMAT,
        "task": project.task,
        "payoff": dict(vars(charter.payoff)),
        "currency": charter.currency,
        "timezone": charter.timezone,
        "action": charter.action,
        "success_share": charter.success_share,
        "capacity": _cases_per(charter.capacity),
        "fallback": charter.fallback,
        "baseline_rule": charter.baseline_rule,
        "control_group": charter.control_group,
        "exploration_share": charter.exploration_share,
        "horizon_days": project.train.horizon.days,
        "p99_ms": charter.p99_ms,
        "interruption_limit": _cases_per(charter.interruption_limit),
        "case_id": list(project.data.case_id),
        "personal": list(project.data.personal),
        "plans": plans,
        "columns": _columns_of(plans, project.data.case_id),
    }


def _cases_per(limit: Any) -> dict[str, Any] | None:
    return {"cases": limit.cases, "per": limit.per} if limit else None


def _rule_kind(task: str) -> Kind | None:
    return _RULES[task]


def _plan_of(text: str | None, where: str, expects: Kind | None) -> list[Any] | None:
    if text is None:
        return None
    return plan_as_json(_parse(text, where, expects))


def _parse(text: str, where: str, expects: Kind | None) -> Plan:
    """Return the plan of an expression; a text that is none can only be a column with an unusual name."""
    from trueup.kernel.expressions import parse_expression

    try:
        return parse_expression(text, where=where, expects=expects).plan
    except ExpressionError:
        if not text.replace(" ", "").replace("-", "").isidentifier():
            raise
        return ("column", text, expects or "any")


def _payoff_plans(project: Project) -> dict[str, list[Any]]:
    payoff: Payoff = project.charter.payoff
    texts = dict(vars(payoff))
    if set(texts) == set(_CELLS):
        return {name: plan_as_json(_parse(text, f"charter.payoff.{name}", "number")) for name, text in texts.items()}
    where, expects = "charter.payoff.per_case", None if project.task == "multiclass" else "number"
    per_case = _parse(texts["per_case"], where, expects)  # type: ignore[arg-type]  # both are kinds
    if project.task != "binary":
        return {"per_case": plan_as_json(per_case)}
    return {
        name: plan_as_json(_with_numbers(per_case, {"prediction": prediction, "outcome": outcome}))
        for name, (prediction, outcome) in zip(_CELLS, _WAYS, strict=True)
    }


def _with_numbers(plan: Plan, numbers: Mapping[str, float]) -> Plan:
    """Return the plan with constants in place of columns."""
    if plan and plan[0] == "column" and plan[1] in numbers:
        number = ("number", numbers[plan[1]])
        return number if plan[2] in ("number", "any") else ("cast", plan[2], number)
    return tuple(_with_numbers(part, numbers) if isinstance(part, tuple) else part for part in plan)


def _columns_of(plans: Mapping[str, Any], case_id: Sequence[str]) -> dict[str, str]:
    """Return every column that is read and as what; "any" where several kinds are."""
    found: dict[str, str] = dict.fromkeys(case_id, "any")
    for name, kind in _reads(plans):
        found[name] = kind if found.get(name, kind) == kind else "any"
    return dict(sorted(found.items()))


def _reads(part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, Mapping):
        part = list(part.values())
    if not isinstance(part, (list, tuple)):
        return
    if part and part[0] == "column":
        if part[1] not in _OUTSIDE:
            yield part[1], part[2]
        return
    for inner in part:
        yield from _reads(inner)


# --- from document to decisions


class DecisionPolicy:
    """A policy document, ready to price rows.

    Parameters
    ----------
    document : mapping
        What `policy_document` gave, perhaps through JSON.
    classes : sequence of str
        Of the bundle's manifest; needed for several classes.

    Attributes
    ----------
    version : str
        Digest of the document.
    task : str
        binary, multiclass or regression.
    columns : dict of str to str
        Columns that are read from a row, and as what: number, text, boolean, moment, or any.
    gain : callable of (float, Row) to float
        Expected gain of acting on a case with this score, in the currency; binary tasks only. A payoff that is empty or
        infinite for the row counts as 0.
    event_time : callable of Row to int or None
        When the case happened, in microseconds UTC.

    Raises
    ------
    BadPolicy
        When the document is none, or of another version.

    Notes
    -----
    `gain`, `baseline`, `fallback` and `event_time` raise `BadRowValue` where a row holds a moment with an offset inside
    an expression, or two columns of different kinds are compared.
    """

    def __init__(self, document: Mapping[str, Any], *, classes: Sequence[str] = ()) -> None:
        if document.get("format") != FORMAT:
            raise BadPolicy(
                f"the policy has the format {document.get('format')!r}, and this version of Trueup reads {FORMAT!r}; "
                "package the bundle again with this version",
                seen=document.get("format"),
            )
        try:
            self._read(document, tuple(classes))
        except (BadRowValue, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise BadPolicy(f"the policy is refused: {type(error).__name__} while its plans were read") from error

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, classes: Sequence[str] = ()) -> DecisionPolicy:
        """Return the policy of a document; see the class."""
        return cls(document, classes=classes)

    def _read(self, document: Mapping[str, Any], classes: tuple[str, ...]) -> None:
        plans = document["plans"]
        self.version = digest_of(document)
        self.document = document
        self.task: str = document["task"]
        self.columns: dict[str, str] = dict(document["columns"])
        self.control_group = float(document["control_group"])
        self.exploration_share = float(document["exploration_share"])
        capacity = document["capacity"]
        self.capacity: int | None = capacity and int(capacity["cases"])
        self.per: str = capacity["per"] if capacity else "day"
        self.timezone: str = document["timezone"]
        self._case_id = tuple(document["case_id"])
        self._classes = classes
        payoff = {name: plan_from_json(plan) for name, plan in plans["payoff"].items()}
        if self.task == "binary":
            self.gain = _gain_of(payoff, document["action"], document["success_share"])
        elif self.task == "multiclass":
            self._class_payoffs = _class_payoffs(payoff["per_case"], classes)
        self._baseline = _rule_of(plans["baseline_rule"])
        self._fallback = _rule_of(plans["fallback"])
        self.event_time = _time_of(plans["time"], self.timezone)

    def choose(self, scores: Sequence[float] | NDArray[np.float64], row: Row) -> float | str:
        """Return the predicted number, or the class with the largest expected payoff.

        Parameters
        ----------
        scores : sequence of float
            The predicted number, or the probability of each class.
        row : mapping
        """
        if self.task != "multiclass":
            return float(scores[0])
        return self._classes[int(best_class(np.array([scores], dtype=np.float64), self._class_payoffs(row))[0][0])]

    def baseline(self, row: Row) -> bool | float | str | None:
        """Return what decided before says: whether to act, or the number or class; None without one."""
        return self._ruled(self._baseline, row)

    def fallback(self, row: Row) -> bool | float | str | None:
        """Return what decides when no model can: whether to act, or the number or class; None without one."""
        return self._ruled(self._fallback, row)

    def association_of(self, row: Row) -> str | None:
        """Return the name of the row's case as the table would print it; see `align/case_reading.py`."""
        return case_reading.association_of(row, self._case_id)

    unit_hash = staticmethod(case_reading.unit_hash)

    def _ruled(self, rule: Callable[[Row], Any] | None, row: Row) -> bool | float | str | None:
        if self.task == "binary":
            return rule is not None and bool(rule(row))
        value = rule(row) if rule is not None else None
        return float(value) if self.task == "regression" and value is not None else value


def _rule_of(plan: list[Any] | None) -> Callable[[Row], Any] | None:
    return None if plan is None else compile_plan(_folded(plan_from_json(plan)))


def _time_of(plan: list[Any] | None, timezone: str) -> Callable[[Row], int | None]:
    if plan is None:
        return lambda row: None
    return case_reading.event_time_reader(plan_from_json(plan), timezone=timezone)


def _gain_of(payoff: Mapping[str, Plan], action: str, success_share: float | None) -> Callable[[float, Row], float]:
    """Return the expected gain as `align/payoff.expected_gain` computes it, operation by operation."""
    share = 1.0 if action != "prevents" or success_share is None else float(success_share)
    saved, alarm, missed, quiet = (_amount(payoff[name]) for name in _CELLS)
    varying = {name for name in _CELLS if any(_reads(payoff[name]))}
    if varying == {"false_negative"} and action != "prevents":
        return _gain_of_what_is_missed(saved({}), alarm({}) - quiet({}), missed)

    def parts(row: Row) -> tuple[float, float]:
        tp, fp, fn, tn = saved(row), alarm(row), missed(row), quiet(row)
        if action == "prevents":
            tp = share * tp + (1.0 - share) * (fn + fp - tn)
        return tp - fn, fp - tn

    if not varying:
        if_positive, if_negative = parts({})
        return lambda score, row: score * if_positive + (1.0 - score) * if_negative

    def gain(score: float, row: Row) -> float:
        positive, negative = parts(row)
        return score * positive + (1.0 - score) * negative

    return gain


def _gain_of_what_is_missed(
    saved: float, negative: float, missed: Callable[[Row], float]
) -> Callable[[float, Row], float]:
    """Return the gain of the usual charter: all that depends on the row is what a missed case costs."""

    def gain(score: float, row: Row) -> float:
        return score * (saved - missed(row)) + (1.0 - score) * negative

    return gain


def _amount(plan: Plan) -> Callable[[Row], float]:
    """Return a function of a row that gives an amount of money; 0 where the payoff is empty or infinite."""
    folded = _folded(plan)
    evaluate = compile_plan(folded)
    if not any(_reads(folded)):
        fixed = _finite(evaluate({}))
        return lambda row: fixed

    def amount(row: Row) -> float:
        value = evaluate(row)
        return float(value) if value is not None and -math.inf < value < math.inf else 0.0

    return amount


def _finite(value: Any) -> float:
    return float(value) if value is not None and -math.inf < value < math.inf else 0.0


def _class_payoffs(per_case: Plan, classes: Sequence[str]) -> Callable[[Row], NDArray[np.float64]]:
    """Return a function of a row that gives what predicting one class is worth when it is another, (1, k, k)."""
    if len(classes) < 2:
        raise BadPolicy("a policy for several classes needs their names, as in the bundle's manifest")
    evaluate = compile_plan(_folded(per_case))

    def priced(row: Row) -> NDArray[np.float64]:
        cells = [[evaluate({**row, "prediction": said, "outcome": true}) for true in classes] for said in classes]
        amounts = np.array([[math.nan if cell is None else float(cell) for cell in line] for line in cells])
        return np.asarray(np.nan_to_num(amounts, nan=0.0)[None])

    if any(_reads(per_case)):
        return priced
    fixed = priced({})
    return lambda row: fixed


def _folded(plan: Plan) -> Plan:
    """Return the plan with every part that reads no column evaluated."""
    if not plan or not isinstance(plan[0], str):
        return tuple(_folded(part) if isinstance(part, tuple) else part for part in plan)
    if plan[0] in ("number", "text", "boolean", "null", "moment", "column"):
        return plan
    if any(True for _ in _reads_any(plan)):
        return tuple(_folded(part) if isinstance(part, tuple) else part for part in plan)
    value = compile_plan(plan)({})
    if value is None:
        return ("null",)
    return plan if isinstance(value, dt.date) else (_CONSTANTS[type(value)], value)


def _reads_any(plan: Plan) -> Iterator[str]:
    if plan and plan[0] == "column":
        yield plan[1]
        return
    for part in plan:
        if isinstance(part, tuple):
            yield from _reads_any(part)


_CONSTANTS: dict[type, str] = {float: "number", bool: "boolean", str: "text", int: "number"}
