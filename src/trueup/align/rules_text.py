"""What do the quality rules of a project file say? ``[[data.rule]]``, parsed into `align/quality_rules.py`."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from trueup.align.quality_rules import (
    Bound,
    Check,
    Figure,
    ForeignKey,
    Fresh,
    Level,
    Matches,
    NotNull,
    OneOf,
    QualityRule,
    Query,
    Range,
    RowHolds,
    Unique,
    Volume,
    columns_of,
)
from trueup.align.reading import Section
from trueup.align.triggers_text import parse_limit
from trueup.kernel.rowvalues import BadRowValue, moment_from_text

_NOT_RE2 = re.compile(r"\(\?(?:=|!|<=|<!)|\\[1-9]")
_Named = list[tuple[str, Check]]
"""Checks with the names they get when the person gave none."""


def read_rules(section: Section) -> tuple[QualityRule, ...]:
    """Return the rules below ``[data]``, noting every mistake; one for each column where a rule names several."""
    rules: list[QualityRule] = []
    for part in section.sections("rule"):
        for rule in _rules_of(part):
            if any(rule.name == other.name for other in rules):
                part.wrong("name", f'there is a rule "{rule.name}" already; give this one a name of its own')
            else:
                rules.append(rule)
    return tuple(rules)


def _rules_of(part: Section) -> Iterator[QualityRule]:
    kind = part.choice("check", tuple(_READERS), example='"not_null"')
    if kind is None:
        for key in (*_COMMON, *_KEYS_OF_CHECKS):
            part.take(key)
        part.finish()
        return
    name = part.text("name")
    level = cast(Level, part.choice("level", ("prevent", "warn")) or "prevent")
    share = (part.share("allowed_share") or 0.0) if kind in _BY_ROW else 0.0
    found = _READERS[kind](part)
    part.finish()
    if kind == "query" and name is None and not part.has("name"):
        part.wrong("name", 'this key is missing; a query needs one, for example name = "no overlapping contracts"')
        return
    for said, check in found:
        several = f"{name}: {columns_of(check)[0]}" if name and len(found) > 1 else name
        yield QualityRule(several or said, kind, check, level, share)


def _not_null(part: Section) -> _Named:
    return [(f"{column}: not null", NotNull(column)) for column in _columns(part)]


def _unique(part: Section) -> _Named:
    columns = _columns(part)
    return [(f"{_together(columns)}: unique", Unique(columns))] if columns else []


def _range(part: Section) -> _Named:
    columns, low, high = _columns(part), _bound(part, "low"), _bound(part, "high")
    if low is None and high is None:
        if not part.has("low") and not part.has("high"):
            part.wrong("low", "a range needs at least one end; write for example low = 0")
        return []
    if low is not None and high is not None and _contradict(low, high):
        part.wrong("high", f"{high} is not above low ({low}), or one is a number and the other a date")
    said = " ".join(
        word
        for word in (f"from {_shown(low)}" if low is not None else "", f"to {_shown(high)}" if high is not None else "")
        if word
    )
    return [(f"{column}: {said}", Range(column, low, high)) for column in columns]


def _one_of(part: Section) -> _Named:
    columns, raw = _columns(part), part.take("values")
    if not isinstance(raw, list) or not raw or not all(isinstance(value, str | int | float) for value in raw):
        part.wrong("values", 'it must list the allowed values, for example values = ["branch", "broker"]')
        return []
    values = tuple(float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in raw)
    if len({type(value) for value in values}) > 1:
        part.wrong("values", "texts, numbers and yes-or-no do not mix in one column; list values of one kind")
    return [(f"{column}: one of {len(values)} values", OneOf(column, values)) for column in columns]


def _matches(part: Section) -> _Named:
    regex = part.parsed("regex", _checked_regex, example="'[A-Z]{2}[0-9]+'")
    columns = _columns(part)
    return [(f"{column}: matches {regex}", Matches(column, regex)) for column in columns] if regex else []


def _fresh(part: Section) -> _Named:
    within = part.duration("within", example='"2d"')
    columns = _columns(part)
    return [(f"{column}: newest within {within}", Fresh(column, within)) for column in columns] if within else []


def _volume(part: Section) -> _Named:
    low, high = part.whole("low", low=0), part.whole("high", low=0)
    change = part.share("change")
    if low is not None and high is not None and low > high:
        part.wrong("high", f"{high} is less than low ({low})")
    if not any(part.has(key) for key in ("low", "high", "change")):
        part.wrong("low", "a volume needs low, high or change; write for example low = 1000")
    return [("rows: volume", Volume(low, high, change))]


def _foreign_key(part: Section) -> _Named:
    columns = _columns(part)
    references = part.text("references", example='"customers.csv"')
    keys = part.texts("keys") or columns
    if len(keys) != len(columns):
        part.wrong("keys", f"{len(keys)} keys for {len(columns)} columns; name one for each, in the same order")
    return [(f"{_together(columns)}: in {references}", ForeignKey(columns, references, keys))] if references else []


def _row_holds(part: Section) -> _Named:
    sql = part.expression("sql", expects="boolean", example='"amount <= limit_at_booking"')
    return [(sql, RowHolds(sql))] if sql else []


def _figure(part: Section) -> _Named:
    sql = part.aggregate("sql", example='"avg(amount)"')
    limit = part.parsed("limit", _checked_limit, example='"<= 5000"')
    return [(f"{sql} {limit}", Figure(sql, limit))] if sql and limit else []


def _query(part: Section) -> _Named:
    sql = part.text("sql", example='"SELECT * FROM cases WHERE ended_at < started_at"')
    return [(sql, Query(sql))] if sql else []


_READERS: dict[str, Callable[[Section], _Named]] = {
    "not_null": _not_null,
    "unique": _unique,
    "range": _range,
    "set": _one_of,
    "pattern": _matches,
    "freshness": _fresh,
    "volume": _volume,
    "foreign_key": _foreign_key,
    "sql": _row_holds,
    "figure": _figure,
    "query": _query,
}
_BY_ROW = frozenset(_READERS) - {"freshness", "volume", "figure"}
_COMMON = ("name", "level", "allowed_share", "columns")
_KEYS_OF_CHECKS = ("low", "high", "values", "regex", "within", "change", "references", "keys", "sql", "limit")


def _columns(part: Section) -> tuple[str, ...]:
    return part.texts("columns", example='"amount"')


def _together(names: Sequence[str]) -> str:
    return " and ".join(names)


def _shown(bound: Bound) -> str:
    return bound.removesuffix(" 00:00:00") if isinstance(bound, str) else f"{bound:.15g}"


def _bound(part: Section, key: str) -> Bound | None:
    value = part.take(key)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    text = value.isoformat() if isinstance(value, dt.date) else value
    try:
        moment = moment_from_text(text) if isinstance(text, str) else None
    except BadRowValue as error:
        part.wrong(key, error.message)
        return None
    if moment is None:
        part.wrong(key, f"{value} is neither a number nor a date, such as {key} = 0 or {key} = 2020-01-01")
        return None
    return moment.isoformat(" ")


def _contradict(low: Bound, high: Bound) -> bool:
    if isinstance(low, str) and isinstance(high, str):
        return low > high
    return isinstance(low, str) or isinstance(high, str) or low > high


def _checked_regex(text: str) -> str:
    if _NOT_RE2.search(text):
        raise ValueError("look-ahead, look-behind and back-references are not allowed in a pattern (RE2)")
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"it is not a regular expression: {error}") from None
    return text


def _checked_limit(text: str) -> str:
    parse_limit(text)
    return text
