"""Is a column of texts read as what it is, and never guessed?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.data.duck import connect
from trueup.data.meaning import Reading, read_texts, read_typed
from trueup.data.text_facts import CLASSES, class_sql, count_texts


def read(texts: Sequence[str | None], folder: Path, *, shown: str = "{}") -> tuple[Reading, list[object]]:
    """Return how a column of these texts is read, and the values that come out."""
    with connect(memory_limit_mb=200, threads=1, temp_directory=folder) as connection:
        connection.execute("CREATE TABLE source (n INTEGER, x VARCHAR)")
        connection.executemany("INSERT INTO source VALUES (?, ?)", list(enumerate(texts)))
        facts = count_texts(connection, "source", ["x"], on_share=lambda share: None)["x"]
        reading = read_texts("x", facts)
        rows = connection.execute(f"SELECT {shown.format(reading.sql)} FROM source ORDER BY n").fetchall()
        return reading, [row[0] for row in rows]


def day(year: int, month: int, number: int) -> dt.date:
    return dt.date(year, month, number)


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts)  # type: ignore[arg-type]  # year, month, day, hour, ...


READ: list[tuple[str, list[str | None], str, list[object]]] = [
    ("whole numbers", ["1", "-20", " 3 ", None], "number", [1, -20, 3, None]),
    ("decimals", ["1.5", ".25", "1e3", "2"], "number", [1.5, 0.25, 1000.0, 2.0]),
    ("three decimals", ["1.234", "12.5"], "number", [1.234, 12.5]),
    ("blanks in numbers", ["1.5", " ", "", "\t"], "number", [1.5, None, None, None]),
    ("marks in numbers", ["1", "NA", "-", "null", "?"], "number", [1, None, None, None, None]),
    ("decimal commas", ["1,5", "1.234,50", "1.234", "7", "1.234.567"], "number", [1.5, 1234.5, 1234.0, 7.0, 1234567.0]),
    ("thousands", ["1,234,567", "1,234", "5.5"], "number", [1234567.0, 1234.0, 5.5]),
    ("dates", ["2024-02-29", "2023-12-31"], "date", [day(2024, 2, 29), day(2023, 12, 31)]),
    ("times", ["2024-02-29 10:30:00", "2024-03-01"], "date", [at(2024, 2, 29, 10, 30), at(2024, 3, 1)]),
    ("day first", ["31-12-2023", "01-02-2024"], "date", [day(2023, 12, 31), day(2024, 2, 1)]),
    ("month first", ["12/31/2023", "1/2/2024"], "date", [day(2023, 12, 31), day(2024, 1, 2)]),
    ("dots", ["1.2.2024", "03.04.2024 08:15"], "date", [at(2024, 2, 1), at(2024, 4, 3, 8, 15)]),
    (
        "mixed dates",
        ["31/12/2023", "2024-02-01", "1/2/2024"],
        "date",
        [day(2023, 12, 31), day(2024, 2, 1), day(2024, 2, 1)],
    ),
    ("booleans", ["true", "False", "TRUE "], "boolean", [True, False, True]),
    ("yes and no", ["Yes", "no"], "boolean", ["Yes", "no"]),
    ("leading zeros", ["007", "12"], "category", ["007", "12"]),
    ("very long numbers", ["12345678901234567890", "1"], "category", ["12345678901234567890", "1"]),
    ("only 1,234", ["1,234", "5"], "category", ["1,234", "5"]),
    ("two decimal marks", ["1,5", "1.55"], "category", ["1,5", "1.55"]),
    ("contradicting dates", ["31-12-2023", "12-31-2023"], "category", ["31-12-2023", "12-31-2023"]),
    ("dates either way", ["01-02-2024", "03/04/2024"], "category", ["01-02-2024", "03/04/2024"]),
    ("dates that do not exist", ["2023-02-29", "2024-01-01"], "category", ["2023-02-29", "2024-01-01"]),
    ("words", ["a", " ", "1"], "category", ["a", " ", "1"]),
    ("nothing", [None, None], "category", [None, None]),
]


@pytest.mark.parametrize(("texts", "kind", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_texts_are_read_as_what_they_are(
    tmp_path: Path, texts: list[str | None], kind: str, expected: list[object]
) -> None:
    reading, values = read(texts, tmp_path)
    assert (reading.kind, values) == (kind, expected)


def test_times_with_an_offset_are_moments(tmp_path: Path) -> None:
    reading, values = read(["2024-01-01T12:00:00Z", "2024-01-01T12:00:00+02:00"], tmp_path, shown="epoch({})")
    assert reading.kind == "date"
    assert values == [1704110400.0, 1704103200.0]  # date -u -d @1704110400: Mon Jan 1 12:00:00 UTC 2024


TOLD: list[tuple[list[str | None], str, str]] = [
    (["1", " ", "2"], "data.blanks", "x: 1 blank in 3 numbers, read as missing"),
    (["1", "NA"], "data.missing-marks", "x: 1 mark (NA, null, none, - or the like) in 2 numbers, read as missing"),
    (
        ["31/12/2023", "2024-02-01", "1/2/2024"],
        "data.mixed-dates",
        "x: 2 dates read as dd-mm-yyyy, 1 as yyyy-mm-dd; 1 of them could be read either way",
    ),
    (
        ["01-02-2024", "03/04/2024"],
        "data.ambiguous-dates",
        "x: all 2 dates could be dd-mm-yyyy or mm-dd-yyyy; kept as text; write yyyy-mm-dd",
    ),
    (
        ["31-12-2023", "12-31-2023"],
        "data.contradicting-dates",
        "x: 1 dates can only be dd-mm-yyyy and 1 only mm-dd-yyyy; kept as text; correct them",
    ),
    (["1,5", "2"], "data.decimal-comma", "x: numbers with a decimal comma, read as numbers"),
    (["007", "12"], "data.leading-zeros", "x: 1 number with leading zeros; kept as text, as codes are"),
    (
        [*map(str, range(10)), "ten"],
        "data.text-in-numbers",
        "x: 1 of 11 values are no numbers; kept as text; correct them first",
    ),
    (["Yes", "No"], "data.yes-no", "x: Yes and No, a yes-or-no question; kept as written"),
]


@pytest.mark.parametrize(("texts", "code", "message"), TOLD, ids=[case[1] for case in TOLD])
def test_a_person_is_told(tmp_path: Path, texts: list[str | None], code: str, message: str) -> None:
    reading, _ = read(texts, tmp_path)
    assert [(notice.code, notice.message, notice.column) for notice in reading.notices] == [(code, message, "x")]


@pytest.mark.parametrize(
    ("sql_type", "kind"),
    [
        ("INTEGER", "number"),
        ("DECIMAL(18,3)", "number"),
        ("BOOLEAN", "boolean"),
        ("TIMESTAMP_NS", "date"),
        ("TIMESTAMP WITH TIME ZONE", "date"),
        ("UUID", "category"),
        ("STRUCT(a INTEGER)", "text"),
        ("INTEGER[]", "text"),
    ],
)
def test_declared_types_are_kept(sql_type: str, kind: str) -> None:
    assert read_typed("x", sql_type).kind == kind


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.text(max_size=12), st.from_regex(r"[-+.,:/ 0-9TZ]{0,14}", fullmatch=True)), max_size=30))
def test_every_text_has_one_class_and_no_value_is_lost(texts: list[str]) -> None:
    texts = [text.replace("\0", "") for text in texts]
    with connect(memory_limit_mb=200, threads=1, temp_directory=Path("unused")) as connection:
        connection.execute("CREATE TABLE source (n INTEGER, x VARCHAR)")
        for number, text in enumerate(texts):
            connection.execute("INSERT INTO source VALUES (?, ?)", [number, text])
        found = [row[0] for row in connection.execute(f"SELECT {class_sql('x')} FROM source ORDER BY n").fetchall()]
        assert len(found) == len(texts)
        assert set(found) <= set(CLASSES)
        facts = count_texts(connection, "source", ["x"], on_share=lambda share: None)["x"]
        assert facts.rows == len(texts)
        reading = read_texts("x", facts)
        present = facts.rows - facts.missing - facts.count("blank", "mark")
        kept = connection.execute(f"SELECT count({reading.sql}) FROM source").fetchall()[0][0]
        assert kept >= present
