"""How does a table become a history? Times, outcomes and payoffs are evaluated once, in event-time order.

One DuckDB query sorts the table and evaluates every expression of the charter and the data section; the narrow results
become arrays, the columns one Parquet file. Sorting spills to disk, so a table may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import PayoffMatrix, PayoffPerCase, Project
from trueup.data.duck import quoted, quoted_text
from trueup.data.history import History, HistoryColumn, open_history, save_history
from trueup.data.outcomes import Labels, read_labels
from trueup.kernel.errors import TrueupError, nearest_spelling
from trueup.kernel.expression_sql import render
from trueup.kernel.expression_terms import Kind
from trueup.kernel.expressions import parse_expression, to_duckdb
from trueup.kernel.periods import NEVER
from trueup.lake.rehearsals import Notice

if TYPE_CHECKING:
    import duckdb

_PREFIX = "trueup$"
_ROW_GROUP = 20_000
_MAX_CLASSES = 20
_TEXT_MIN_DISTINCT = 1_000
_TEXT_DISTINCT_SHARE = 0.2


class HistoryError(TrueupError):
    """A table cannot be told as a history."""

    code = "data.history"


class MissingColumn(HistoryError):
    """The project file names a column that the table does not have."""

    code = "data.missing-column"


@dataclass(frozen=True)
class _Plan:
    """The query's parts, each SQL over the source table."""

    time: str | None
    known: str | None
    final: str | None
    label: str
    payoffs: tuple[str, ...]
    baseline: str | None
    case_id: tuple[str, ...]


def tell_history(
    project: Project,
    *,
    connection: duckdb.DuckDBPyConnection,
    file_uris: Sequence[str],
    table_version: str,
    folder: Path,
) -> History:
    """Build the history of a project from one version of its table, in `folder`, and return it.

    Raises
    ------
    MissingColumn
        When the project file names a column that the table does not have.
    HistoryError
        When no row has a time, or the label cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = ", ".join(quoted_text(uri) for uri in file_uris)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW source AS SELECT * FROM read_parquet([{files}])")  # noqa: S608
    types = {str(r[0]): str(r[1]) for r in connection.execute("DESCRIBE source").fetchall()}
    plan = _plan(project, types)
    target = folder / "table.parquet"
    connection.execute(
        f"COPY ({_query(plan)}) TO {quoted_text(str(target))} (FORMAT parquet, ROW_GROUP_SIZE {_ROW_GROUP})"
    ).fetchall()
    total = _count(connection, "SELECT count(*) FROM source")
    facts = _narrow(connection, target)
    if not len(facts["time"]):
        raise HistoryError(
            f"none of the {total:,} rows has a time in {project.data.time}; name another column in data.time"
        )
    labels = read_labels(project, facts["label"])
    history = _assemble(project, plan, types=types, facts=facts, labels=labels, folder=folder, version=table_version)
    history = _with_classes(history, project, connection)
    notices = history.notices + _dropped_rows(project, total, history.rows)
    save_history(_replace(history, columns=_columns(project, types, connection), notices=notices))
    return open_history(folder)


def _plan(project: Project, types: dict[str, str]) -> _Plan:
    data, charter = project.data, project.charter
    payoffs: tuple[str, ...] = ()
    if isinstance(charter.payoff, PayoffMatrix):
        matrix = charter.payoff
        cells = (matrix.true_positive, matrix.false_positive, matrix.false_negative, matrix.true_negative)
        names = ("true_positive", "false_positive", "false_negative", "true_negative")
        payoffs = tuple(
            _number(cell, types, where=f"charter.payoff.{name}") for cell, name in zip(cells, names, strict=True)
        )
    elif project.task == "binary":
        pairs = ((1, 1), (1, 0), (0, 1), (0, 0))
        payoffs = tuple(_per_case_sql(charter.payoff, types, prediction=p, outcome=o) for p, o in pairs)
    return _Plan(
        time=_moment(data.time, types, "data.time", charter.timezone),
        known=_moment(data.label_known_at, types, "data.label_known_at", charter.timezone),
        final=_moment(data.label_final_at, types, "data.label_final_at", charter.timezone),
        label=_sql(data.label, types, where="data.label"),
        payoffs=payoffs,
        baseline=_baseline(project, types),
        case_id=tuple(_sql(column, types, where="data.case_id") for column in data.case_id),
    )


def _baseline(project: Project, types: dict[str, str]) -> str | None:
    rule = project.charter.baseline_rule
    if rule is None:
        return None
    if project.task == "multiclass":
        raise HistoryError(
            "charter.baseline_rule is not supported for several classes yet; leave it out, and value is measured "
            "against predicting the most frequent class"
        )
    kind: Kind = "boolean" if project.task == "binary" else "number"
    return _number(rule, types, where="charter.baseline_rule", expects=kind)


def _query(plan: _Plan) -> str:
    null_moment = "NULL::BIGINT"
    columns = [
        f'{plan.time or "row_number() OVER ()"} AS "{_PREFIX}time"',
        f'{plan.known or null_moment} AS "{_PREFIX}known"',
        f'{plan.final or null_moment} AS "{_PREFIX}final"',
        f'({plan.label}) AS "{_PREFIX}label"',
        *(f'({sql})::DOUBLE AS "{_PREFIX}payoff{i}"' for i, sql in enumerate(plan.payoffs)),
    ]
    if plan.baseline:
        columns.append(f'({plan.baseline})::DOUBLE AS "{_PREFIX}baseline"')
    columns.append(f'row_number() OVER () AS "{_PREFIX}row"')
    ids = [f"CAST({sql} AS VARCHAR)" for sql in plan.case_id] or ["CAST(row_number() OVER () AS VARCHAR)"]
    columns.append(f"md5_number_lower(concat_ws('|', {', '.join(ids)})) AS \"{_PREFIX}unit\"")
    order = ", ".join([f'"{_PREFIX}time"', *plan.case_id, f'"{_PREFIX}row"'])
    inner = f"SELECT *, {', '.join(columns)} FROM source"  # noqa: S608  # parts come from parsed expressions
    return f'SELECT * FROM ({inner}) WHERE "{_PREFIX}time" IS NOT NULL ORDER BY {order}'  # noqa: S608


def _narrow(connection: duckdb.DuckDBPyConnection, target: Path) -> dict[str, NDArray[np.generic]]:
    wanted = f"COLUMNS('^{_PREFIX.replace('$', '[$]')}')"
    table = connection.sql(f"SELECT {wanted} FROM read_parquet({quoted_text(str(target))})").to_arrow_table()  # noqa: S608
    facts: dict[str, NDArray[np.generic]] = {}
    if table is None:
        return facts
    for name in table.column_names:
        column = table.column(name)
        short = name.removeprefix(_PREFIX)
        if short in {"time", "known", "final"}:
            column = column.fill_null(NEVER)
        facts[short] = column.to_numpy(zero_copy_only=False)
    return facts


def _assemble(
    project: Project,
    plan: _Plan,
    *,
    types: dict[str, str],
    facts: dict[str, NDArray[np.generic]],
    labels: Labels,
    folder: Path,
    version: str,
) -> History:
    time = facts["time"].astype(np.int64)
    known, final, notices = _known_and_final(plan, time=time, facts=facts, outcome=labels.outcome)
    outcome = labels.outcome
    if project.task == "binary" and plan.final:
        outcome = np.where(np.isnan(outcome), 0.0, outcome)
    unknown = np.isnan(outcome)
    final = np.where(unknown, NEVER, final)
    payoffs = None
    if plan.payoffs:
        payoffs = np.column_stack([facts[f"payoff{i}"].astype(np.float64) for i in range(len(plan.payoffs))])
        notices += _empty_payoffs(payoffs)
        payoffs = np.nan_to_num(payoffs, nan=0.0, posinf=0.0, neginf=0.0)
    baseline = facts["baseline"].astype(np.float64) if plan.baseline else None
    return History(
        folder=folder,
        table_version=version,
        rows=len(time),
        columns=(),
        classes=labels.classes,
        event_time=time,
        known_at=known,
        final_at=final,
        outcome=outcome,
        payoffs=payoffs,
        baseline=None if baseline is None else np.nan_to_num(baseline, nan=0.0),
        unit_hash=facts["unit"].astype(np.uint64),
        data_end=_data_end(time, facts["known"].astype(np.int64)),
        dated=plan.time is not None,
        notices=labels.notices + notices,
    )


def _known_and_final(
    plan: _Plan, *, time: NDArray[np.int64], facts: dict[str, NDArray[np.generic]], outcome: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[Notice, ...]]:
    """Return when each outcome was known and final; what is not said is taken from the other, or from the event."""
    known = facts["known"].astype(np.int64)
    final = facts["final"].astype(np.int64)
    notices: list[Notice] = []
    if plan.known is None and plan.final is None:
        if plan.time is not None:
            notices.append(
                Notice(
                    "data.label-delay-missing",
                    "neither data.label_known_at nor data.label_final_at is given, so outcomes count as known at once; "
                    "if they really arrive later, every figure here is too good",
                )
            )
        return time.copy(), time.copy(), tuple(notices)
    if plan.known is None:
        known = final.copy()
    if plan.final is None:
        final = known.copy()
    has_label = ~np.isnan(outcome)
    known = np.where((known == NEVER) & has_label, final, known)
    late = has_label & (known > final) & (known < NEVER)
    if late.any():
        notices.append(
            Notice(
                "data.outcomes-after-final",
                f"{int(late.sum()):,} outcomes became known after data.label_final_at said they were final; "
                "they count as final when they were known",
            )
        )
    final = np.where(late, known, final)
    early = int((final < time).sum())
    if early:
        notices.append(
            Notice(
                "data.outcomes-before-case", f"{early:,} outcomes are final before their case happened: check the times"
            )
        )
    return known, final, tuple(notices)


def _data_end(time: NDArray[np.int64], known: NDArray[np.int64]) -> int:
    """Return the first moment after everything the table tells: the latest event, or news of an outcome."""
    told = known < NEVER
    if not told.any():
        return int(time.max()) + 1
    # a date far beyond all others is a slip of the pen, not news from the future
    usual_delay = int(np.quantile(known[told] - time[told], 0.99))
    news = known[told & (known <= time.max() + 2 * max(usual_delay, 0))]
    return int(max(time.max(), news.max() if len(news) else 0)) + 1


def _with_classes(history: History, project: Project, connection: duckdb.DuckDBPyConnection) -> History:
    """Evaluate the payoff of each pair of classes, once if it does not depend on the row."""
    payoff = project.charter.payoff
    if project.task != "multiclass" or not isinstance(payoff, PayoffPerCase):
        return history
    k = len(history.classes)
    if k > _MAX_CLASSES:
        raise HistoryError(f"{project.data.label} has {k} classes; up to {_MAX_CLASSES} are supported")
    expression = parse_expression(payoff.per_case, where="charter.payoff.per_case")
    rows_matter = bool(expression.columns - {"prediction", "outcome"})
    table = quoted_text(str(history.table_path))
    source = f"read_parquet({table})" if rows_matter else "(SELECT 1)"
    priced = np.empty((history.rows if rows_matter else 1, k, k))
    for i, predicted in enumerate(history.classes):
        for j, actual in enumerate(history.classes):
            pair = f"{quoted_text(predicted)} AS prediction, {quoted_text(actual)} AS outcome"
            query = f"SELECT ({to_duckdb(expression)})::DOUBLE AS p FROM (SELECT *, {pair} FROM {source})"  # noqa: S608
            priced[:, i, j] = connection.execute(query).fetchnumpy()["p"]
    return _replace(history, payoffs=np.nan_to_num(priced, nan=0.0))


def _columns(
    project: Project, types: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> tuple[HistoryColumn, ...]:
    roles = _roles(project, types)
    kinds = {name: _kind(sql_type) for name, sql_type in types.items()}
    words = [n for n, kind in kinds.items() if kind == "category" and roles[n] == "feature"]
    if words:
        counts = ", ".join(f"approx_count_distinct({quoted(n)}), count({quoted(n)})" for n in words)
        [row] = connection.execute(f"SELECT {counts} FROM source").fetchall()  # noqa: S608
        for i, name in enumerate(words):
            distinct, filled = row[2 * i], row[2 * i + 1]
            if distinct > max(_TEXT_MIN_DISTINCT, _TEXT_DISTINCT_SHARE * filled):
                kinds[name], roles[name] = "text", "free text"
    return tuple(HistoryColumn(name, kinds[name], roles[name]) for name in types)


def _roles(project: Project, types: dict[str, str]) -> dict[str, str]:
    """Return what each column is for; a column named by a time expression stays a feature unless it is a date."""
    data = project.data
    roles = dict.fromkeys(types, "feature")
    dates = {n for n, t in types.items() if _kind(t) == "date"}
    for role, text in (("label_final_at", data.label_final_at), ("time", data.time)):
        roles.update(dict.fromkeys(_named(text, types) & dates, role))
    roles.update(dict.fromkeys(_named(data.label_known_at, types) & dates, "label_known_at"))
    roles.update({n: "personal" for n in data.personal if n in types})
    roles.update({n: "excluded" for n in data.exclude if n in types})
    roles.update({n: "case_id" for n in data.case_id if n in types and len(data.case_id) == 1})
    roles.update(dict.fromkeys(_named(data.label, types), "label"))
    return roles


def _named(text: str | None, types: dict[str, str]) -> set[str]:
    if text is None:
        return set()
    if text in types:
        return {text}
    return set(parse_expression(text).columns) & set(types)


def _kind(sql_type: str) -> str:
    if sql_type == "BOOLEAN":
        return "boolean"
    if sql_type.startswith(("TIMESTAMP", "DATE", "TIME")):
        return "date"
    if sql_type.startswith(("VARCHAR", "ENUM", "UUID", "BLOB")):
        return "category"
    return "number"


def _sql(text: str, types: dict[str, str], *, where: str, expects: Kind | None = None) -> str:
    if text in types:
        return quoted(text)
    expression = parse_expression(text, where=where, expects=expects)
    for column in sorted(expression.columns):
        if column not in types:
            raise MissingColumn(
                f'{where} names the column "{column}", which the table does not have{nearest_spelling(column, types)}; '
                f"its {len(types)} columns are listed by `trueup check`",
                column=column,
            )
    return to_duckdb(expression)


def _number(text: str, types: dict[str, str], *, where: str, expects: Kind = "number") -> str:
    sql = render(("column", text, expects)) if text in types else _sql(text, types, where=where, expects=expects)
    return f"CAST(({sql}) AS DOUBLE)"


def _per_case_sql(payoff: PayoffPerCase, types: dict[str, str], *, prediction: int, outcome: int) -> str:
    known = {**types, "prediction": "DOUBLE", "outcome": "DOUBLE"}
    sql = _sql(payoff.per_case, known, where="charter.payoff.per_case", expects="number")
    return sql.replace('"prediction"', f"{prediction}::DOUBLE").replace('"outcome"', f"{outcome}::DOUBLE")


def _moment(text: str | None, types: dict[str, str], where: str, timezone: str) -> str | None:
    """Return SQL for microseconds since 1970 UTC; times without a zone are read in the charter's time zone."""
    if text is None:
        return None
    sql = _sql(text, types, where=where, expects="moment")
    if types.get(text, "").startswith("TIMESTAMP WITH"):
        return f"epoch_us({sql})"
    zoned = {types[c].startswith("TIMESTAMP WITH") for c in _named(text, types) if _kind(types[c]) == "date"}
    if zoned == {True, False}:
        raise HistoryError(
            f"{where} mixes times with and without a time zone; store all times of the table in one way and ingest "
            "again"
        )
    if zoned == {True}:  # an expression reads them as UTC
        return f"epoch_us(CAST({sql} AS TIMESTAMP))"
    if types.get(text, "DATE").startswith("VARCHAR"):
        raise HistoryError(
            f'{where} names "{text}", which holds text, not times; write dates as 2016-05-31 or 2016-05-31 14:07:00 '
            "in every row and ingest again",
            column=text,
        )
    return f"epoch_us(timezone({quoted_text(timezone)}, CAST({sql} AS TIMESTAMP)))"


def _empty_payoffs(payoffs: NDArray[np.float64]) -> tuple[Notice, ...]:
    empty = int((~np.isfinite(payoffs)).any(axis=1).sum())
    if not empty:
        return ()
    return (Notice("data.payoff-missing", f"the payoff of {empty:,} cases is empty or infinite and counts as 0"),)


def _dropped_rows(project: Project, total: int, kept: int) -> tuple[Notice, ...]:
    if total == kept:
        return ()
    return (
        Notice(
            "data.rows-without-time",
            f"{total - kept:,} of {total:,} rows have no time in {project.data.time} and are left out",
            column=project.data.time,
        ),
    )


def _replace(history: History, **changes: object) -> History:
    return replace(history, **changes)  # type: ignore[arg-type]  # field names and types are the record's own


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    [(count,)] = connection.execute(query).fetchall()
    return int(count)
