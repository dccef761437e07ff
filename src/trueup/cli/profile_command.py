"""What do the columns of the table hold, and which moved? `trueup profile`."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.console import Console
from trueup.cli.exits import OK, WrongUsage
from trueup.cli.workspace import Workspace, open_workspace, project_folder

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.data.daily_profiles import Days
    from trueup.data.profile_plan import ProfilePlan
    from trueup.measure.profiles import Profile
    from trueup.measure.table_profiles import TableDrift, TableProfile

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_TOP = 5
_FEW = 20
"""Of fewer rows it is no wonder that all are different."""


@dataclass(frozen=True)
class Source:
    """Parquet files of one table, and what they are called."""

    name: str
    files: tuple[Path, ...]


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup profile`."""
    from trueup.align.project_file import read_project
    from trueup.cli.ingest_command import ensure_ingested
    from trueup.data.profiling import profile_files

    folder = project_folder(arguments.project)
    project, workspace = read_project(folder), open_workspace(folder)
    if arguments.by and not project.data.time:
        raise WrongUsage("--by day needs the time of each row; set data.time in trueup.toml")
    ensure_ingested(project, workspace, console)
    now = table_source(project, workspace, arguments.version)
    before = against(project, workspace, arguments.against) if arguments.against else None
    reference = profile_files(before.files, plan_of(project, before)) if before else None
    plan = plan_of(project, now, origins=reference.origins if reference else None)
    days: Days = {}
    if arguments.by:
        from trueup.data.daily_profiles import profile_days

        days = profile_days(now.files, plan, by=str(project.data.time))
    profile = profile_files(now.files, plan)
    document = as_document(profile, plan, source=now, before=before, reference=reference, days=days)
    console.result(document, described(document))
    return OK


def table_source(project: Project, workspace: Workspace, version: int | None) -> Source:
    """Return the files of a version of the project's table."""
    from trueup.loop.prepare import open_tables, table_name

    loop = workspace.for_loop()
    tables = open_tables(loop)
    found = tables.get(table_name(project), version)
    return Source(found.id, tables.local_files(table_name(project), found.version, into=loop.scratch))


def against(project: Project, workspace: Workspace, named: str) -> Source:
    """Return the reference that was asked for: a version of the table, or a file."""
    if named.isdecimal():
        return table_source(project, workspace, int(named))
    if Path(named).is_dir():
        raise WrongUsage(f"{named} is a folder; --against takes a version of the table or a Parquet file")
    return Source(Path(named).name, (Path(named),))


def plan_of(project: Project, source: Source, *, origins: Mapping[str, float] | None = None) -> ProfilePlan:
    """Return how the columns are counted; those that name a case or a person are left out."""
    from dataclasses import replace

    from trueup.data.profile_plan import plan_profile

    plan = plan_profile(source.files, origins=origins)
    data = project.data
    left_out = dict.fromkeys(data.case_id, "names a case") | dict.fromkeys(data.personal, "personal")
    here = {column.name for column in plan.columns} & left_out.keys()
    counted = tuple(column for column in plan.columns if column.name not in here)
    return replace(plan, columns=counted, skipped={**plan.skipped, **{name: left_out[name] for name in sorted(here)}})


def as_document(
    profile: TableProfile,
    plan: ProfilePlan,
    *,
    source: Source,
    before: Source | None,
    reference: TableProfile | None,
    days: Days,
) -> dict[str, Any]:
    """Return everything that was found as JSON values."""
    from trueup.measure.table_profiles import compare_tables

    document: dict[str, Any] = {
        "source": source.name,
        "rows": profile.rows,
        "columns": [
            {"column": c.name, "counted_as": c.counted_as, **column_facts(profile.columns[c.name], c.counted_as)}
            for c in plan.columns
        ],
        "skipped": dict(plan.skipped),
    }
    if before and reference:
        document |= {"against": before.name, **drift_facts(compare_tables(reference, profile))}
    if days:
        kinds = {column.name: column.counted_as for column in plan.columns}
        document["days"] = list(day_facts(days, reference or profile, last=running_columns(days, profile, kinds)))
    return document


def running_columns(days: Days, profile: TableProfile, counted_as: Mapping[str, str]) -> frozenset[str]:
    """Return columns that are other on every day by their nature, so that their moving says nothing.

    A text or whole number that no two rows share names the row; a whole number or moment whose ranges on the days
    follow each other without touching counts on with time.
    """
    return frozenset(
        name
        for name, column in profile.columns.items()
        if counted_as[name] in ("category", "length", "whole", "moment")
        and (_names_rows(column, counted_as[name]) or _counts_on([table.columns[name] for table in days.values()]))
    )


def _names_rows(column: Profile, counted_as: str) -> bool:
    from trueup.measure.profiles import NumberProfile

    if column.present < _FEW:
        return False
    if isinstance(column, NumberProfile):
        return counted_as == "whole" and column.exact and len(column.keys) == column.present
    return column.buckets is None and len(column.counts) == column.present


def _counts_on(columns: Sequence[Profile]) -> bool:
    from trueup.measure.profiles import NumberProfile, quantiles

    ranges = [quantiles(c, (0.0, 1.0)) for c in columns if isinstance(c, NumberProfile) and c.present]
    return len(ranges) > 1 and all(before[1] < after[0] for before, after in itertools.pairwise(ranges))


def column_facts(profile: Profile, counted_as: str) -> dict[str, Any]:
    """Return what one column holds as JSON values."""
    from trueup.kernel.periods import iso
    from trueup.measure.profiles import NumberProfile, quantiles

    facts: dict[str, Any] = {"present": profile.present, "missing": profile.missing}
    if isinstance(profile, NumberProfile):
        values: list[Any] = list(quantiles(profile, _QUANTILES))
        if counted_as == "moment":
            values = [iso(int(value)) if abs(value) < 2.5e17 else None for value in values]
        shown = dict(zip(map(str, _QUANTILES), values, strict=False))
        return {**facts, "distinct": len(profile.keys) if profile.exact else None, "quantiles": shown, "top": []}
    top = sorted(profile.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_TOP]
    distinct = len(profile.counts) if profile.buckets is None else None
    return {**facts, "distinct": distinct, "quantiles": {}, "top": [list(pair) for pair in top]}


def drift_facts(drift: TableDrift) -> dict[str, Any]:
    """Return what moved as JSON values, the largest effect first."""
    moved = [{"column": c.column, "effect": c.effect, **asdict(c.drift)} for c in drift.columns]
    return {"drift": moved, "gone": list(drift.gone), "added": list(drift.added), "changed": list(drift.changed)}


def day_facts(days: Days, reference: TableProfile, *, last: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield what each day held, compared with the reference; the columns in `last` come after the others."""
    from datetime import date, timedelta

    from trueup.measure.table_profiles import compare_tables

    for day, table in days.items():
        yield {
            "day": None if day is None else (date(1970, 1, 1) + timedelta(days=day)).isoformat(),
            "rows": table.rows,
            "missing": {name: column.missing for name, column in table.columns.items()},
            "drift": sorted(
                drift_facts(compare_tables(reference, table))["drift"], key=lambda moved: moved["column"] in last
            ),
        }


def described(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the document as lines for a person."""
    yield f"{document['source']}: {document['rows']:,} rows"
    yield f"  {'column':<28}{'missing':>10}  what it holds"
    for column in document["columns"]:
        yield f"  {column['column']:<28}{column['missing']:>10,}  {_contents(column)}"
    for name, reason in document["skipped"].items():
        yield f"  {name:<28}{'':>10}  left out: {reason}"
    if "against" in document:
        yield ""
        yield f"What moved since {document['against']}, by effect size (no p-values: see docs/statistics.md)"
        yield f"  {'column':<28}{'JS (base 2)':>12}{'PSI (ln)':>10}{'KS':>8}{'Wasserstein':>14}  missing"
        yield from (_moved(column) for column in document["drift"])
        for word in ("gone", "added", "changed"):
            if document[word]:
                yield f"  {word}: {', '.join(document[word])}"
    for day in document.get("days", ()):
        most = day["drift"][0] if day["drift"] else None
        said = f"  most moved: {most['column']} ({most['effect']:.3f})" if most else ""
        yield f"  {day['day'] or 'no time':<12}{day['rows']:>10,} rows{said}"


def _contents(column: Mapping[str, Any]) -> str:
    if not column["present"]:
        return "nothing"
    if column["quantiles"]:
        low, middle, high = (column["quantiles"][str(share)] for share in (0.05, 0.5, 0.95))
        if column["counted_as"] == "moment":
            return f"5 % {low}, median {middle}, 95 % {high}"
        kinds = f", {column['distinct']:,} different" if column["distinct"] else ""
        return f"5 % {low:.6g}, median {middle:.6g}, 95 % {high:.6g}{kinds}"
    if column["distinct"] is None:
        return "more than 10,000 categories"
    top = ", ".join(f"{name} {count:,}" for name, count in column["top"])
    return f"{column['distinct']:,} categories: {top}"


def _moved(column: Mapping[str, Any]) -> str:
    def shown(name: str, form: str) -> str:
        return "-" if column[name] is None else format(column[name], form)

    missing = f"{column['reference_missing'] or 0:.1%} -> {column['current_missing'] or 0:.1%}"
    new = f", new: {', '.join(column['new_categories'][:_TOP])}" if column["new_categories"] else ""
    return (
        f"  {column['column']:<28}{shown('jensen_shannon', '.4f'):>12}{shown('psi', '.4f'):>10}{shown('ks', '.4f'):>8}"
        f"{shown('wasserstein', '.4g'):>14}  {missing}{new}"
    )
