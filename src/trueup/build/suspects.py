"""Which columns give the outcome away? The search itself; loaded in the separate process only (see `leakage`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.build.frames import FeatureFiles, RawColumn, learn_frame
from trueup.build.recipe import Feature
from trueup.kernel.periods import NEVER

Vector = NDArray[np.float64]
Codes = NDArray[np.int64]
MOST_ROWS = 20_000
FAR_TOO_MUCH = {"AUC": 0.95, "R2": 0.90}
"""Out of fold, from one column alone. Honest single columns seldom pass 0.8; copies of the outcome reach 1."""
EXPLANATORY = {"AUC": 0.80, "R2": 0.60}
"""Enough for a date that lies after the decision."""
_BINS = 128
_FOLDS = 4
_PRIOR_ROWS = 5.0
_TRAIN_SHARE = 0.7
_MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Sample:
    """The rows that are looked at."""

    columns: dict[str, RawColumn]
    kinds: dict[str, str]
    roles: dict[str, str]
    task: str
    outcome: Vector
    event_days: Vector | None
    known_days: Vector
    final_days: Vector
    fold: NDArray[np.int64]
    seed: int

    @property
    def score_name(self) -> str:
        """Return the name of what a column reaches alone."""
        return "R2" if self.task == "regression" else "AUC"

    def dates(self) -> dict[str, Vector]:
        """Return the date columns, in days."""
        return {n: c.numbers for n, c in self.columns.items() if self.kinds[n] == "date" and c.numbers is not None}


@dataclass
class Found:
    """A suspicion before its effect is known."""

    column: str
    kind: str
    why: str
    alone: float


def answer_leakage(
    request: dict[str, Any], files: FeatureFiles, report: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """Return suspicions and effects as JSON values."""
    sample = _sample(request, files)
    alone = {name: alone_score(sample, codes_of(column)) for name, column in _plain(sample).items()}
    found = [*_add_up(sample, alone), *_explain_alone(sample, alone), *_dates_that_tell(sample)]
    suspicions = {one.column: one for one in reversed(found)}
    asked = [n for n, role in sample.roles.items() if role == "excluded" or n in suspicions]
    base = [n for n, role in sample.roles.items() if role == "feature" and n not in suspicions]
    total = len(asked) + 1
    without = score_later(sample, base, None)
    kept = {}
    for done, name in enumerate(asked, start=1):
        report(done, total, f'what keeping "{name}" changes')
        kept[name] = score_later(sample, base, name)
    report(total, total, "columns looked at")
    return {
        "metric": "MAE" if sample.task == "regression" else "AUC",
        "without": without,
        "kept": kept,
        "suspicions": [
            {"column": n, "kind": suspicions[n].kind, "why": suspicions[n].why, "alone": suspicions[n].alone}
            for n in sample.roles
            if n in suspicions
        ],
    }


def codes_of(column: RawColumn | Vector) -> Codes:
    """Return each row's group: its category, its number, or one of 128 bins of equal count; missing is a group."""
    if isinstance(column, RawColumn) and column.codes is not None:
        return column.codes.astype(np.int64) + 1
    numbers = column.numbers if isinstance(column, RawColumn) else column
    assert numbers is not None
    present = ~np.isnan(numbers)
    values = np.unique(numbers[present])
    if len(values) > _BINS:
        values = np.unique(np.quantile(numbers[present], np.linspace(0, 1, _BINS + 1), method="lower"))
    groups = np.zeros(len(numbers), dtype=np.int64)
    groups[present] = np.searchsorted(values, numbers[present], side="right")
    return groups


def alone_score(sample: Sample, groups: Codes) -> float:
    """Return how well a row's group alone tells its outcome, out of fold.

    AUC of the group's mean outcome in the other folds (several classes: mean over the classes, weighted by their
    share), or R2 of it for regression, 0 at least.
    """
    if sample.task == "regression":
        guess = _out_of_fold_mean(sample, groups, sample.outcome)
        spread = float(((sample.outcome - sample.outcome.mean()) ** 2).sum())
        return max(0.0, 1.0 - float(((sample.outcome - guess) ** 2).sum()) / spread) if spread else 0.0
    classes, counts = np.unique(sample.outcome, return_counts=True)
    if len(classes) < 2:
        return 0.5
    asked = classes[1:] if sample.task == "binary" else classes
    shares = counts[-len(asked) :] / counts[-len(asked) :].sum()
    scores = [_auc(sample.outcome == one, _out_of_fold_mean(sample, groups, sample.outcome == one)) for one in asked]
    return float(np.dot(scores, shares))


def score_later(sample: Sample, base: list[str], extra: str | None) -> float:
    """Return AUC or MAE on the later rows of a small boosting fitted on the earlier ones."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    names = [*base, *([extra] if extra else [])]
    cut = int(len(sample.outcome) * _TRAIN_SHARE)
    earlier, later = sample.outcome[:cut], sample.outcome[cut:]
    if not names or len(np.unique(earlier)) < 2 or len(np.unique(later)) < 2:
        return 0.5 if sample.task != "regression" else float(np.abs(later - earlier.mean()).mean())
    frame = _frame(sample, names, cut)
    small = {
        "max_iter": 50,
        "learning_rate": 0.15,
        "min_samples_leaf": 30,
        "early_stopping": False,
        "random_state": sample.seed,
        "categorical_features": "from_dtype",
    }
    if sample.task == "regression":
        number = HistGradientBoostingRegressor(**small).fit(frame[:cut], earlier)
        return float(np.abs(later - number.predict(frame[cut:])).mean())
    model = HistGradientBoostingClassifier(**small).fit(frame[:cut], earlier.astype(np.int64))
    scores = model.predict_proba(frame[cut:])
    hits = [(one, np.count_nonzero(later == one)) for one in model.classes_[1 if sample.task == "binary" else 0 :]]
    by_class = [
        (_auc(later == one, scores[:, list(model.classes_).index(one)]), hit)
        for one, hit in hits
        if 0 < hit < len(later)
    ]
    return float(np.average([score for score, _ in by_class], weights=[hit for _, hit in by_class]))


def _frame(sample: Sample, names: list[str], cut: int) -> Any:
    """Return the columns a model would see; dates as days from the event, and between date columns."""
    kinds = {name: "category" if sample.kinds[name] == "text" else sample.kinds[name] for name in names}
    features = tuple(Feature(name, kinds[name]) for name in names)  # type: ignore[arg-type]  # kinds of the history
    columns = [sample.columns[name] for name in names]
    maker = learn_frame(features, [column.take(slice(0, cut)) for column in columns])
    frame = maker.frame(columns)
    dates = [name for name in names if kinds[name] == "date"]
    if sample.event_days is not None:
        for name in dates:
            frame[name] = frame[name] - sample.event_days
    for later, earlier in combinations(dates, 2):
        frame[f"{later} - {earlier}"] = frame[later] - frame[earlier]
    return frame


def _sample(request: dict[str, Any], files: FeatureFiles) -> Sample:
    rows, outcome, times = (np.load(request[name]) for name in ("rows", "outcome", "times"))
    random = np.random.default_rng(request["seed"])
    chosen = np.arange(len(rows))
    if len(rows) > MOST_ROWS:
        chosen = np.sort(random.choice(len(rows), MOST_ROWS, replace=False))
    features = [Feature(name, kind) for name, kind, _ in request["columns"]]
    columns = files.read(Path(request["table"]), features, rows[chosen])
    event, known, final = (_days(moments[chosen]) for moments in times)
    return Sample(
        columns={feature.name: column for feature, column in zip(features, columns, strict=True)},
        kinds={name: kind for name, kind, _ in request["columns"]},
        roles={name: role for name, _, role in request["columns"]},
        task=request["task"],
        outcome=outcome[chosen],
        event_days=event if times[0].any() else None,
        known_days=known,
        final_days=final,
        fold=random.integers(0, _FOLDS, len(chosen)),
        seed=request["seed"],
    )


def _days(moments: NDArray[np.int64]) -> Vector:
    return np.where(moments == NEVER, np.nan, moments / _MICROSECONDS_A_DAY)


def _plain(sample: Sample) -> dict[str, RawColumn]:
    return {n: c for n, c in sample.columns.items() if sample.kinds[n] != "date"}


def _explain_alone(sample: Sample, alone: dict[str, float]) -> list[Found]:
    name = sample.score_name
    chance = "0.5 is chance" if name == "AUC" else "1 is everything"
    return [
        Found(
            column,
            "explains-alone",
            f"alone it reaches {name} {score:.2f} ({chance}), far too much for one column",
            round(score, 4),
        )
        for column, score in alone.items()
        if score >= FAR_TOO_MUCH[name]
    ]


def _dates_that_tell(sample: Sample) -> list[Found]:
    """Blame date columns whose distance in days to the event, or to another date, tells the outcome.

    A distance blames both its ends. The event itself is beyond suspicion; a date that is when the outcome became known
    is blamed first; then, again and again, the date with most telling distances, until every one has its culprit.
    """
    dates = sample.dates()
    after = {n for n, days in dates.items() if _lies_after(days, sample.event_days)}
    limit = EXPLANATORY[sample.score_name]
    far_too_much = FAR_TOO_MUCH[sample.score_name]
    found: dict[str, Found] = {}
    pairs: dict[tuple[str, str], float] = {}
    for name, days in dates.items():
        score = 0.0 if sample.event_days is None else alone_score(sample, codes_of(days - sample.event_days))
        if score >= (limit if name in after else far_too_much):
            found[name] = _after(sample, name, "when the case happened", score)
    ends = {**dates, "": sample.final_days}
    for one, other in combinations(ends, 2):
        score = alone_score(sample, codes_of(ends[one] - ends[other]))
        if score >= far_too_much or (score >= limit and ({one, other} & after)):
            pairs[one, other] = score
    known = [n for n, days in dates.items() if _equal(days, sample.known_days)]
    while open_pairs := {pair: score for pair, score in pairs.items() if not set(pair) & set(found)}:
        counts = {end: sum(end in pair for pair in open_pairs) for pair in open_pairs for end in pair}
        culprit = max(counts, key=lambda end: (end in known, end == "", counts[end], end in after, end))
        best = max((score, pair) for pair, score in open_pairs.items() if culprit in pair)
        partner = next(end for end in best[1] if end != culprit)
        found[culprit] = _after(sample, culprit, f'"{partner}"' if partner else "when the outcome is final", best[0])
    found.pop("", None)
    return [found[name] for name in dates if name in found]


def _after(sample: Sample, column: str, from_where: str, score: float) -> Found:
    known = ", and it is when the outcome became known" if _equal(sample.dates().get(column), sample.known_days) else ""
    return Found(
        column,
        "written-after",
        f"the days between it and {from_where} reach {sample.score_name} {score:.2f} alone{known}",
        round(score, 4),
    )


def _lies_after(days: Vector, event_days: Vector | None) -> bool:
    """Return whether a date lies after the event, by a day or more, for at least one row of twenty."""
    return event_days is not None and float(np.mean(days >= event_days + 1.0)) >= 0.05


def _equal(days: Vector | None, other: Vector) -> bool:
    if days is None:
        return False
    both = ~np.isnan(days) & ~np.isnan(other)
    return bool(both.any()) and float(np.mean(np.abs(days[both] - other[both]) < 1e-6)) >= 0.99


def _add_up(sample: Sample, alone: dict[str, float]) -> list[Found]:
    """Find two number columns whose sum or difference is the outcome in 999 rows of 1,000."""
    if sample.task != "regression":
        return []
    # constants and copies of the outcome are found, or harmless, alone
    numbers = {
        n: c.numbers
        for n, c in sample.columns.items()
        if c.numbers is not None and sample.kinds[n] == "number" and np.nanstd(c.numbers) > 0 and alone[n] < 0.999
    }
    found = []
    for one, other in combinations(numbers, 2):
        a, b = numbers[one], numbers[other]
        for text, value in ((f"{one} + {other}", a + b), (f"{one} - {other}", a - b), (f"{other} - {one}", b - a)):
            if np.mean(np.isclose(value, sample.outcome, rtol=1e-6, atol=1e-9)) >= 0.999:
                why = f"{text} is the outcome"
                found += [Found(column, "adds-up", why, round(alone[column], 4)) for column in (one, other)]
    return found


def _out_of_fold_mean(sample: Sample, groups: Codes, target: NDArray[Any]) -> Vector:
    values = target.astype(np.float64)
    guess = np.empty(len(values))
    size = int(groups.max()) + 1
    for fold in range(_FOLDS):
        inside = sample.fold == fold
        mean = values[~inside].mean() if (~inside).any() else values.mean()
        sums = np.bincount(groups[~inside], weights=values[~inside], minlength=size)
        counts = np.bincount(groups[~inside], minlength=size)
        guess[inside] = ((sums + _PRIOR_ROWS * mean) / (counts + _PRIOR_ROWS))[groups[inside]]
    return guess


def _auc(hit: NDArray[Any], scores: Vector) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(hit, scores))
