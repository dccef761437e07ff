"""What must be true of the data before anything is decided on them?

The records of ``[[data.rule]]``; `align/rules_text.py` parses them, `data/quality/` evaluates them on a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trueup.kernel.durations import Duration

Level = Literal["prevent", "warn"]
Bound = float | str
"""A number, or a moment in UTC as ISO text."""
Member = str | float | bool


@dataclass(frozen=True)
class NotNull:
    """The column has a value in every row."""

    column: str


@dataclass(frozen=True)
class Unique:
    """No two rows have the same values; rows with a missing one are left out."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """The value lies between two ends, both included; None is open."""

    column: str
    low: Bound | None
    high: Bound | None


@dataclass(frozen=True)
class OneOf:
    """The value is one of these."""

    column: str
    values: tuple[Member, ...]


@dataclass(frozen=True)
class Matches:
    """The whole text matches a regular expression (RE2)."""

    column: str
    regex: str


@dataclass(frozen=True)
class Fresh:
    """The newest moment not after now is at most this old."""

    column: str
    within: Duration


@dataclass(frozen=True)
class Volume:
    """The number of rows lies within bounds, and changed by no more than a share since the version before."""

    low: int | None
    high: int | None
    change: float | None


@dataclass(frozen=True)
class ForeignKey:
    """The values are among those of other columns elsewhere; rows with a missing one are left out."""

    columns: tuple[str, ...]
    references: str
    """A file, folder, glob or URL as in `data.source`, or ``table:name`` for another table of the lake."""
    keys: tuple[str, ...]


@dataclass(frozen=True)
class RowHolds:
    """An expression over the row is not false; unknown passes, as in an SQL CHECK."""

    sql: str


@dataclass(frozen=True)
class Figure:
    """A figure over all rows keeps to a limit, such as ``<= 0.05``."""

    sql: str
    limit: str


@dataclass(frozen=True)
class Query:
    """A SELECT over the table ``cases`` returns no row; each row it returns counts as failing."""

    sql: str


Check = NotNull | Unique | Range | OneOf | Matches | Fresh | Volume | ForeignKey | RowHolds | Figure | Query


@dataclass(frozen=True)
class QualityRule:
    """One rule of a project."""

    name: str
    """Unique in the project; results keep it from version to version."""
    kind: str
    """The word of ``check =``."""
    check: Check
    level: Level = "prevent"
    """prevent: rows that break it are not published. warn: they are, and it is said."""
    allowed_share: float = 0.0
    """The share of checked rows that may fail, 0 to 1."""


def columns_of(check: Check) -> tuple[str, ...]:
    """Return the columns of the table that a rule names one by one; expressions know theirs themselves."""
    if isinstance(check, Unique | ForeignKey):
        return check.columns
    return () if isinstance(check, Volume | RowHolds | Figure | Query) else (check.column,)
