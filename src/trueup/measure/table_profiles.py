"""What did all columns of a table hold, and which of them moved? Profiles of tables, which add up like columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trueup.measure.drift import Drift, compare_categories, compare_numbers
from trueup.measure.profiles import (
    CategoryProfile,
    NumberProfile,
    Profile,
    ProfilesDiffer,
    coarsened,
    merge_categories,
    merge_numbers,
)


@dataclass(frozen=True)
class TableProfile:
    """Counts of every column of a table, or of its rows in one time slot."""

    rows: int = 0
    columns: Mapping[str, Profile] = field(default_factory=dict)

    @property
    def origins(self) -> dict[str, float]:
        """Return the origin of each column of numbers that has a value: part of the table's schema."""
        return {
            name: column.origin
            for name, column in self.columns.items()
            if isinstance(column, NumberProfile) and column.present
        }


@dataclass(frozen=True)
class ColumnDrift:
    """How one column moved."""

    column: str
    drift: Drift

    @property
    def effect(self) -> float:
        """Return what columns are ranked by: Jensen-Shannon distance, or the change of the missing share if larger."""
        drift = self.drift
        missing = abs((drift.current_missing or 0.0) - (drift.reference_missing or 0.0))
        return max(drift.jensen_shannon or 0.0, missing)


@dataclass(frozen=True)
class TableDrift:
    """How a table moved from the reference to now."""

    columns: tuple[ColumnDrift, ...]
    """Largest effect first."""
    gone: tuple[str, ...] = ()
    """Columns of the reference that are not there now."""
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Columns that were numbers and are categories now, or the other way round."""


def merge_tables(one: TableProfile, other: TableProfile) -> TableProfile:
    """Return the profile of both tables' rows together.

    Raises
    ------
    ProfilesDiffer
        When they have other columns, kinds or origins; a profile of no rows and no columns merges with any.
    """
    if not one.columns and not one.rows:
        return other
    if not other.columns and not other.rows:
        return one
    if one.columns.keys() != other.columns.keys():
        names = ", ".join(sorted(one.columns.keys() ^ other.columns.keys())[:5])
        raise ProfilesDiffer(f"one table has the columns {names} and the other has not; profile the same columns")
    columns = {name: merge_columns(column, other.columns[name], name=name) for name, column in one.columns.items()}
    return TableProfile(one.rows + other.rows, columns)


def merge_columns(one: Profile, other: Profile, *, name: str) -> Profile:
    """Return the profile of both columns' cases together; `name` is told when they cannot be added."""
    try:
        if isinstance(one, NumberProfile) and isinstance(other, NumberProfile):
            return merge_numbers(one, other)
        if isinstance(one, CategoryProfile) and isinstance(other, CategoryProfile):
            return merge_categories(one, other)
    except ProfilesDiffer as error:
        raise ProfilesDiffer(f"{name}: {error.message}", column=name) from error
    raise ProfilesDiffer(f"{name} is numbers in one profile and categories in the other", column=name)


def coarsened_table(profile: TableProfile) -> TableProfile:
    """Return the hourly form of a table's profile, see `profiles.coarsened`."""
    return TableProfile(
        profile.rows,
        {
            n: coarsened(column) if isinstance(column, NumberProfile) else column
            for n, column in profile.columns.items()
        },
    )


def compare_tables(reference: TableProfile, current: TableProfile, *, bins: int = 10) -> TableDrift:
    """Return how each column moved, those that moved most first, and the columns that cannot be compared."""
    found: list[ColumnDrift] = []
    changed: list[str] = []
    for name, before in reference.columns.items():
        now = current.columns.get(name)
        if isinstance(before, NumberProfile) and isinstance(now, NumberProfile):
            found.append(ColumnDrift(name, compare_numbers(before, now, bins=bins)))
        elif isinstance(before, CategoryProfile) and isinstance(now, CategoryProfile):
            found.append(ColumnDrift(name, compare_categories(before, now)))
        elif now is not None:
            changed.append(name)
    found.sort(key=lambda column: (-column.effect, column.column))
    return TableDrift(
        tuple(found),
        gone=tuple(n for n in reference.columns if n not in current.columns),
        added=tuple(n for n in current.columns if n not in reference.columns),
        changed=tuple(changed),
    )
