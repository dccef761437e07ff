"""Which rows break which rule? All rules in one query over the table, what cannot be in one query more each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.align.quality_rules import Figure, ForeignKey, Fresh, QualityRule, Query, Unique, Volume
from trueup.align.triggers_text import parse_limit
from trueup.data.duck import quoted, quoted_text
from trueup.data.quality.counting import Aggregates, CannotCheck, aggregates_of, check_names
from trueup.data.quality.own_sql import count_rows_of
from trueup.kernel.digests import digest_of
from trueup.kernel.durations import Duration
from trueup.kernel.errors import TrueupError, nearest_spelling
from trueup.kernel.periods import iso
from trueup.lake.quality_results import QualityResults, RuleResult, RuleStatus

if TYPE_CHECKING:
    import duckdb

_EXAMPLES = 5


@dataclass(frozen=True)
class Rows:
    """The rows to check, on the local disk."""

    connection: duckdb.DuckDBPyConnection
    files: tuple[Path, ...]
    """Parquet files, in row order."""
    spill: Path
    """Folder for what does not fit into memory; the caller removes it."""
    case_id: tuple[str, ...] = ()
    """Columns whose values may be shown as examples; empty where there are none, or they are personal."""

    @property
    def relation(self) -> str:
        """Return SQL after FROM."""
        return f"read_parquet([{', '.join(quoted_text(str(file)) for file in self.files)}]) AS cases"


@dataclass(frozen=True)
class Surroundings:
    """What rules compare the rows with."""

    as_of: int
    """The moment that counts as now."""
    previous_rows: int | None
    """Rows of the version before; None where there is none."""
    open_reference: Callable[[str, duckdb.DuckDBPyConnection], str]
    """Gives SQL after FROM for what a foreign key refers to; raises a `TrueupError` when it is not there."""


def check_rows(rules: Sequence[QualityRule], rows: Rows, around: Surroundings) -> tuple[RuleResult, ...]:
    """Return what each rule finds, in the order of the rules.

    A rule that does not fit the table (a column gone, another type, a broken query) has failed, and says why.
    """
    found = rows.connection.execute(f"DESCRIBE SELECT * FROM {rows.relation}").fetchall()  # noqa: S608
    types = {str(row[0]): str(row[1]) for row in found}
    checker = _Checker(rows, around, types)
    return checker.results(rules)


def rules_digest(rules: Sequence[QualityRule]) -> str:
    """Return what names these rules; results under another digest were found by other rules."""
    return digest_of([{**asdict(rule), "check": [rule.kind, asdict(rule.check)]} for rule in rules])


def describe_results(results: QualityResults) -> list[str]:
    """Return the results as lines for people: what failed, then one line for the rest."""
    passed = sum(result.status == "passed" for result in results.results)
    nothing = [result.rule for result in results.results if result.status == "no_data"]
    lines = [
        f"  {_WORD[result.level]} {result.rule}: {result.detail}" for result in (*results.broken, *results.warnings)
    ]
    counted = f"quality: {passed} of {len(results.results)} rules hold"
    if nothing:
        counted += f"; nothing to check for {', '.join(nothing)}"
    return [counted, *lines]


_WORD = {"prevent": "BROKEN ", "warn": "warning"}


@dataclass(frozen=True)
class _Finding:
    status: RuleStatus
    failing: int
    checked: int
    detail: str
    breaks: str | None = None
    examples: tuple[str, ...] = ()


class _Checker:
    def __init__(self, rows: Rows, around: Surroundings, types: dict[str, str]) -> None:
        self._rows = rows
        self._around = around
        self._types = types

    def results(self, rules: Sequence[QualityRule]) -> tuple[RuleResult, ...]:
        found: dict[int, _Finding] = {}
        together: dict[int, Aggregates] = {}
        for number, rule in enumerate(rules):
            try:
                asked = aggregates_of(rule.check, self._types, as_of=self._around.as_of)
                if asked is None:
                    found[number] = self._alone(rule)
                else:
                    together[number] = asked
            except (CannotCheck, TrueupError) as error:
                found[number] = _cannot(error)
        found.update(self._together(rules, together))
        return tuple(self._result(rule, found[number]) for number, rule in enumerate(rules))

    # --- many rules, one query

    def _together(self, rules: Sequence[QualityRule], asked: dict[int, Aggregates]) -> Iterator[tuple[int, _Finding]]:
        if not asked:
            return
        import duckdb

        try:
            answers = self._ask([sql for part in asked.values() for sql in (part.first, part.second)])
        except duckdb.Error:  # one of them; find out which
            for number, part in asked.items():
                yield number, self._singly(rules[number], part)
            return
        for place, (number, part) in enumerate(asked.items()):
            yield number, self._finding(rules[number], part, answers[2 * place : 2 * place + 2])

    def _singly(self, rule: QualityRule, part: Aggregates) -> _Finding:
        import duckdb

        try:
            return self._finding(rule, part, self._ask([part.first, part.second]))
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            return _cannot(error)

    def _ask(self, columns: Sequence[str]) -> tuple[Any, ...]:
        query = f"SELECT {', '.join(columns)} FROM {self._rows.relation}"  # noqa: S608
        return self._rows.connection.execute(query).fetchone() or ()

    def _finding(self, rule: QualityRule, part: Aggregates, answer: Sequence[Any]) -> _Finding:
        first, checked = answer[0], int(answer[1])
        match rule.check:
            case Fresh(_, within):
                return self._fresh(first, checked, within)
            case Volume():
                return self._volume(rule.check, checked)
            case Figure(_, limit):
                return _figure(first, limit)
        return _by_row(rule, int(first), checked, part.breaks)

    def _fresh(self, newest: int | None, checked: int, within: Duration) -> _Finding:
        if newest is None:
            said = "no value" if not checked else f"all {checked:,} values are later than now"
            return _Finding("failed" if checked else "no_data", min(1, checked), min(1, checked), said)
        age = Duration(self._around.as_of - newest)
        said = f"the newest is {_length(age)} old ({iso(newest)[:16]}); at most {within} is allowed"
        is_stale = age > within
        return _Finding("failed" if is_stale else "passed", int(is_stale), 1, said)

    def _volume(self, volume: Volume, rows: int) -> _Finding:
        before = self._around.previous_rows
        said = [f"{rows:,} rows"]
        if volume.low is not None and rows < volume.low:
            said.append(f"at least {volume.low:,} are expected")
        if volume.high is not None and rows > volume.high:
            said.append(f"at most {volume.high:,} are expected")
        if volume.change is not None and before and abs(rows - before) > volume.change * before:
            change = (rows - before) / before
            said.append(f"{change:+.1%} against the {before:,} of the version before, more than {volume.change:.1%}")
        is_off = len(said) > 1
        only_change = volume.low is None and volume.high is None
        status: RuleStatus = "failed" if is_off else "no_data" if only_change and not before else "passed"
        return _Finding(status, int(is_off), 1, "; ".join(said))

    # --- rules with a query of their own

    def _alone(self, rule: QualityRule) -> _Finding:
        import duckdb

        try:
            match rule.check:
                case Unique(columns):
                    return self._unique(rule, columns)
                case ForeignKey():
                    return self._foreign_key(rule, rule.check)
                case Query(sql):
                    return self._query(rule, sql)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            return _cannot(error)
        raise AssertionError(rule.kind)

    def _unique(self, rule: QualityRule, columns: tuple[str, ...]) -> _Finding:
        check_names(rule.check, self._types)
        names = ", ".join(quoted(name) for name in columns)
        groups = f"SELECT {names}, count(*) AS n FROM {self._rows.relation} WHERE {_present(columns)} GROUP BY {names}"  # noqa: S608
        query = f"SELECT coalesce(sum(n - 1), 0), coalesce(sum(n), 0) FROM ({groups})"  # noqa: S608
        failing, checked = self._rows.connection.execute(query).fetchone() or (0, 0)
        repeated = f"SELECT {names} FROM ({groups}) WHERE n > 1 LIMIT {_EXAMPLES}"  # noqa: S608
        return _by_row(rule, int(failing), int(checked), f"(({names}) IN ({repeated}))")

    def _foreign_key(self, rule: QualityRule, key: ForeignKey) -> _Finding:
        check_names(key, self._types)
        connection = self._rows.connection
        other = self._around.open_reference(key.references, connection)
        known = {str(row[0]) for row in connection.execute(f"DESCRIBE SELECT * FROM {other}").fetchall()}  # noqa: S608
        for name in key.keys:
            if name not in known:
                hint = nearest_spelling(name, known)
                raise CannotCheck(f'"{key.references}" has no column "{name}"{hint}; say which columns with keys')
        same = " AND ".join(
            f"TRY_CAST(other.{quoted(theirs)} AS {self._types[ours]}) = cases.{quoted(ours)}"
            for ours, theirs in zip(key.columns, key.keys, strict=True)
        )
        there = _present(key.columns)
        breaks = f"({there} AND NOT EXISTS (SELECT 1 FROM {other} AS other WHERE {same}))"  # noqa: S608
        failing, checked = self._ask([f"count(*) FILTER (WHERE {breaks})", f"count(*) FILTER (WHERE {there})"])
        return _by_row(rule, int(failing), int(checked), breaks)

    def _query(self, rule: QualityRule, sql: str) -> _Finding:
        failing, ids = count_rows_of(sql, files=self._rows.files, spill=self._rows.spill, case_id=self._rows.case_id)
        checked = int(self._ask(["count(*)"])[0])
        finding = _by_row(rule, failing, max(checked, failing), None)
        return _Finding(finding.status, failing, finding.checked, finding.detail, examples=ids)

    # --- saying it

    def _result(self, rule: QualityRule, found: _Finding) -> RuleResult:
        examples = found.examples
        if found.status == "failed" and found.breaks and not examples:
            examples = self._examples(found.breaks)
        detail = found.detail + (f"; for example {', '.join(examples)}" if examples else "")
        return RuleResult(
            rule.name,
            rule.kind,
            rule.level,
            found.status,
            found.failing,
            found.checked,
            rule.allowed_share,
            detail,
            examples,
        )

    def _examples(self, breaks: str) -> tuple[str, ...]:
        relation = self._rows.relation
        if self._rows.case_id and set(self._rows.case_id) <= set(self._types):
            shown = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in self._rows.case_id)
            query = f"SELECT {shown} FROM {relation} WHERE {breaks} LIMIT {_EXAMPLES}"  # noqa: S608
            rows = self._rows.connection.execute(query).fetchall()
            return tuple(" ".join("?" if part is None else part for part in row) for row in rows)
        query = (
            f"SELECT n FROM (SELECT row_number() OVER () AS n, coalesce({breaks}, false) AS b FROM {relation}) "  # noqa: S608
            f"WHERE b ORDER BY n LIMIT {_EXAMPLES}"
        )
        return tuple(f"row {row[0]}" for row in self._rows.connection.execute(query).fetchall())


def _by_row(rule: QualityRule, failing: int, checked: int, breaks: str | None) -> _Finding:
    if checked == 0:
        return _Finding("no_data", 0, 0, "there is no value to check")
    share = failing / checked
    said = f"{failing:,} of {checked:,} rows fail ({_percent(share)})"
    if rule.allowed_share:
        said += f"; {_percent(rule.allowed_share)} may"
    return _Finding("failed" if share > rule.allowed_share else "passed", failing, checked, said, breaks)


def _figure(value: float | None, limit: str) -> _Finding:
    if value is None:
        return _Finding("no_data", 0, 0, "the figure has no value: a denominator is zero, or there is no row for it")
    keeps = parse_limit(limit).allows(float(value))
    return _Finding("passed" if keeps else "failed", int(not keeps), 1, f"it is {value:.6g}; {limit} is expected")


def _cannot(error: Exception) -> _Finding:
    said = error.message if isinstance(error, TrueupError) else str(error) if isinstance(error, CannotCheck) else None
    if said is None:
        said = f"DuckDB refused it ({type(error).__name__})"
    return _Finding("failed", 0, 0, f"it cannot be checked: {said}")


def _present(columns: Sequence[str]) -> str:
    return " AND ".join(f"{quoted(name)} IS NOT NULL" for name in columns)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _length(age: Duration) -> str:
    return f"{age.days:.1f} days" if age.days >= 2 else f"{age.days * 24:.1f} hours"
