"""What can be wrong with data that comes in?"""

from __future__ import annotations

from trueup.kernel.errors import TrueupError


class DataError(TrueupError):
    """Base of the data room's errors."""

    code = "data.error"


class SourceMissing(DataError):
    """There is no such file, or no file matches."""

    code = "data.source-missing"


class UnsupportedSource(DataError):
    """A source we cannot read."""

    code = "data.unsupported-source"


class SourceUnreadable(DataError):
    """The file is there, but may not be read."""

    code = "data.source-unreadable"


class EmptyFile(DataError):
    """A file without a single byte."""

    code = "data.empty-file"


class NoRows(DataError):
    """A header, and nothing below it."""

    code = "data.no-rows"


class NoHeader(DataError):
    """The first line holds values, not names."""

    code = "data.no-header"


class DuplicateColumns(DataError):
    """Two columns have the same name."""

    code = "data.duplicate-columns"


class TooManyColumns(DataError):
    """More columns than a table may have."""

    code = "data.too-many-columns"


class ColumnsDiffer(DataError):
    """Files of one source have other columns."""

    code = "data.columns-differ"


class WrongEncoding(DataError):
    """A file is not UTF-8."""

    code = "data.wrong-encoding"


class BrokenRow(DataError):
    """A line that is no row of the table."""

    code = "data.broken-row"


class BrokenFile(DataError):
    """A file that is damaged, or not what its name says."""

    code = "data.broken-file"


class UnknownColumn(DataError):
    """A column is named that the source does not have."""

    code = "data.unknown-column"


class RulesBroken(DataError):
    """The rows break quality rules that prevent their publication."""

    code = "data.rules-broken"


class SheetMissing(DataError):
    """A workbook has no sheet of that name."""

    code = "data.sheet-missing"


class AmbiguousSheet(DataError):
    """A workbook has several sheets with content, and none was named."""

    code = "data.ambiguous-sheet"


class PasswordProtected(DataError):
    """A workbook cannot be opened without its password."""

    code = "data.password-protected"


class ConnectionUnset(DataError):
    """A named connection, or a variable it needs, has no value."""

    code = "data.connection-unset"


class ConnectionFailed(DataError):
    """The database cannot be reached, or does not let us in."""

    code = "data.connection-failed"


class ConnectionLost(DataError):
    """The database went away while it was read."""

    code = "data.connection-lost"


class QueryRefused(DataError):
    """The database cannot run the query, or the query would change something."""

    code = "data.query-refused"


class QueryTimeout(DataError):
    """The query took longer than the connection allows."""

    code = "data.query-timeout"


class UnsupportedColumn(DataError):
    """A query gives a column of a type that a table cannot hold."""

    code = "data.unsupported-column"
