"""Does every row arrive, with what it means, or nothing at all?"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.data import errors
from trueup.data.ingest import IngestReport, describe, ingest
from trueup.kernel.periods import moment_of
from trueup.lake.errors import StoreFull, StoreReadOnly
from trueup.lake.tables import Tables

if TYPE_CHECKING:
    from tests.conftest import S3Server

AS_OF = moment_of(dt.datetime(2024, 6, 1, tzinfo=dt.UTC))


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path / "lake")


@pytest.fixture
def take(tmp_path: Path, tables: Tables) -> Callable[..., IngestReport]:
    def run(content: str | bytes, *, file: str = "cases.csv", case_id: tuple[str, ...] = ()) -> IngestReport:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / file).write_bytes(data)
        return ingest(file, tables=tables, name="cases", as_of=AS_OF, case_id=case_id, base=tmp_path)

    return run


def values(tables: Tables, column: str) -> list[object]:
    found: list[object] = pa.Table.from_batches(tables.batches("cases"))[column].to_pylist()
    return found


def codes(report: IngestReport) -> set[str]:
    return {notice.code for notice in report.notices}


def test_a_csv_becomes_a_table_with_its_types(take: Callable[..., IngestReport], tables: Tables) -> None:
    report = take("id,amount,at,ok,name\n1,1.5,2024-01-31,true,x\n2,,2024-02-29 12:30:00,false,\n")
    assert report.table_version == "cases@0"
    assert [(c.name, c.kind, c.stored, c.missing) for c in report.columns] == [
        ("id", "number", "int64", 0),
        ("amount", "number", "double", 1),
        ("at", "date", "timestamp[us]", 0),
        ("ok", "boolean", "bool", 0),
        ("name", "category", "string", 1),
    ]
    assert values(tables, "at") == [dt.datetime(2024, 1, 31), dt.datetime(2024, 2, 29, 12, 30)]


@pytest.mark.parametrize("numbers", [[1.5, 2.5, 3.5], [1.5, 1.5, 1.5], [1.5, float("inf"), 0.0]])
def test_not_a_number_is_missing_in_parquet_and_csv(
    take: Callable[..., IngestReport], tables: Tables, tmp_path: Path, numbers: list[float]
) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "x": [float("nan"), *numbers]}), tmp_path / "made.parquet")
    take((tmp_path / "made.parquet").read_bytes(), file="cases.parquet")
    assert values(tables, "x") == [None, *numbers]
    take("id,x\n1,NaN\n2,1.5\n3,nan\n4,2.5\n")
    assert values(tables, "x") == [None, 1.5, None, 2.5]


def test_the_same_rows_again_make_no_version(take: Callable[..., IngestReport]) -> None:
    first = take("a,b\n1,x\n2,y\n")
    again = take("a;b\r\n1;x\r\n2;y\r\n")
    assert (again.table_version, again.digest, again.is_new) == (first.table_version, first.digest, False)
    assert take("a,b\n1,x\n2,z\n").table_version == "cases@1"


def test_rows_keep_the_order_of_the_file(take: Callable[..., IngestReport], tables: Tables) -> None:
    numbers = [(i * 7919) % 100_003 for i in range(100_003)]
    take("n\n".replace("n", "number") + "\n".join(map(str, numbers)) + "\n")
    assert values(tables, "number") == numbers


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a\tb\n1\t2\n", [2]),
        ("a|b\n1|2\n", [2]),
        ("\ufeffa,b\n1,2\n", [2]),
        ("a,b\r\n1,2\r\n3,4\r\n", [2, 4]),
        ('a,b\n1,"x\ny, ""z"""\n', ['x\ny, "z"']),
        ("a,b\n1,2\n\n3,4\n", [2, 4]),
        ("a,b\n1,2", [2]),
    ],
    ids=["tabs", "bars", "byte order mark", "CR LF", "quotes", "blank lines", "no last line end"],
)
def test_the_ways_people_write_csv_are_read(
    take: Callable[..., IngestReport], tables: Tables, content: str, expected: list[object]
) -> None:
    take(content)
    assert values(tables, "b") == expected


Bad = tuple[str, str | bytes, str, type[errors.DataError], str]
BAD: list[Bad] = [
    ("an empty file", b"", "x.csv", errors.EmptyFile, "is empty"),
    ("a header only", "a,b\n", "x.csv", errors.NoRows, "no rows"),
    ("white space only", "\n\n", "x.csv", errors.NoRows, "white space"),
    ("no header", "1,2\n3,4\n", "x.csv", errors.NoHeader, "line 1"),
    ("a short row", "a,b,c\n1,2,3\n4,5\n6,7,8\n", "x.csv", errors.BrokenRow, "line 3: 2 values .* 3 columns"),
    ("a long row", "a,b\n1,2\n3,4,5\n", "x.csv", errors.BrokenRow, "line 3: 3 values .* 2 columns"),
    ("an open quote", 'a,b\n1,2\n3,"x\n4,5\n', "x.csv", errors.BrokenRow, "line 3: a quote"),
    ("mixed line ends", "a,b\r\n1,2\n3,4\r\n", "x.csv", errors.BrokenRow, "lines end in different ways"),
    (
        "Latin-1",
        "a,b\n1,x\n2,café\n".encode("latin-1"),
        "x.csv",
        errors.WrongEncoding,
        "line 3: byte 0xE9 at position 14",
    ),
    ("UTF-16", "a,b\n1,2\n".encode("utf-16"), "x.csv", errors.WrongEncoding, "UTF-16"),
    ("a null byte", b"a,b\n1,x\0y\n", "x.csv", errors.WrongEncoding, "line 2: a null byte"),
    ("the same name twice", "a,b,A\n1,2,3\n", "x.csv", errors.DuplicateColumns, '"a" .column 1., "A" .column 3.'),
    ("a broken JSON line", '{"a":1}\n{"a":2,\n{"a":3}\n', "x.jsonl", errors.BrokenRow, "line 2: .* JSON"),
    ("a cut Parquet file", b"PAR1" + b"\0" * 100, "x.parquet", errors.BrokenFile, "damaged, cut off"),
    (
        "a cut gz file",
        gzip.compress(b"a,b\n" + os.urandom(5000).hex().encode())[:900],
        "x.csv.gz",
        errors.BrokenFile,
        "cut",
    ),
    ("an unknown ending", "a,b\n1,2\n", "x.docx", errors.UnsupportedSource, "allowed are .csv"),
    (
        "10,000 columns",
        ",".join(f"c{i}" for i in range(10_000)),
        "x.csv",
        errors.TooManyColumns,
        "10,000 .* at most 2,000",
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=[case[0] for case in BAD])
def test_bad_input_is_named_and_nothing_is_lost(take: Callable[..., IngestReport], tables: Tables, bad: Bad) -> None:
    _, content, file, error, says = bad
    before = take("a,b\n1,2\n")
    with pytest.raises(error, match=says) as caught:
        take(content, file=file)
    assert caught.value.code == error.code
    assert tables.get("cases").id == before.table_version
    assert values(tables, "b") == [2]


def test_an_error_repeats_no_row(take: Callable[..., IngestReport]) -> None:
    with pytest.raises(errors.BrokenRow) as caught:
        take("name,iban\nErika,DE02\nMax,DE44,secret\n")
    assert "secret" not in str(caught.value)
    assert "Max" not in json.dumps(caught.value.facts)


def test_files_of_a_folder_are_one_table(tmp_path: Path, tables: Tables) -> None:
    folder = tmp_path / "months"
    folder.mkdir()
    (folder / "2024-02.csv").write_text("a\n2\n")
    (folder / "2024-01.csv").write_text("a\n1\n")
    (folder / "README.md").write_text("about")
    (folder / "2024-03.csv.gz").write_bytes(gzip.compress(b"a\n3\n"))
    for source in ("months", "months/*.csv*", (folder / "*.csv*").as_posix()):
        report = ingest(source, tables=tables, name="cases", as_of=AS_OF, base=tmp_path)
        assert (report.files, report.rows) == (3, 3)
        assert values(tables, "a") == [1, 2, 3]
    (folder / "2024-04.csv").write_text("b\n3\n")
    with pytest.raises(errors.ColumnsDiffer, match="2024-04"):
        ingest("months/*.csv", tables=tables, name="cases", as_of=AS_OF, base=tmp_path)


def test_json_lines_and_parquet_give_the_same_rows_as_csv(tmp_path: Path, tables: Tables) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,x\n2,\n")
    (tmp_path / "x.jsonl").write_text('{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n')
    pq.write_table(pa.table({"a": pa.array([1, 2], pa.int32()), "b": ["x", None]}), tmp_path / "x.parquet")
    reports = [
        ingest(f"x.{ending}", tables=tables, name="cases", as_of=AS_OF, base=tmp_path)
        for ending in ("csv", "jsonl", "parquet")
    ]
    assert len({report.digest for report in reports}) == 1
    assert [report.is_new for report in reports] == [True, False, False]


def test_duplicates_are_counted(take: Callable[..., IngestReport]) -> None:
    report = take("id,x\n1,a\n1,a\n1,b\n2,c\n,d\n", case_id=("id",))
    assert report.duplicate_rows == 1
    told = {notice.code: notice.message for notice in report.notices}
    assert told["data.duplicate-rows"] == "1 row repeats an earlier row in every column; they were kept"
    assert told["data.duplicate-ids"].startswith("id: 2 rows repeat")
    assert told["data.missing-ids"] == "id: 1 rows have no id"


def test_an_unknown_case_id_is_named_with_the_nearest_column(take: Callable[..., IngestReport]) -> None:
    with pytest.raises(errors.UnknownColumn, match='did you mean "booking_id"'):
        take("booking_id,x\n1,a\n", case_id=("bookingid",))


def test_what_the_values_show_is_told(take: Callable[..., IngestReport]) -> None:
    rows = "".join(f"u{i},EUR,{'' if i < 15 else i % 3},{i % 4},2024-{5 + i % 3:02d}-02\n" for i in range(24))
    report = take("key,currency,gap,n,at\n" + rows)
    told = {notice.code: notice.message for notice in report.notices}
    assert told == {
        "data.id-like": "key: every one of the 24 values is different; it looks like an id",
        "data.constant": "currency: the same value in all 24 rows",
        "data.mostly-missing": "gap: 15 of 24 values are missing (62 %)",
        "data.future-dates": "at: 16 dates after 2024-06-01T00:00:00Z, the latest 2024-07-02T00:00:00Z",
    }


def test_the_report_is_json_and_lines(take: Callable[..., IngestReport]) -> None:
    report = take("a,b\n1, \n2,3\n")
    document = json.loads(json.dumps(report.as_json()))
    assert document["table_version"] == "cases@0"
    assert document["columns"][1]["notices"][0]["code"] == "data.blanks"
    assert "  b: 1 blank in 2 numbers, read as missing" in describe(report)


def test_progress_only_grows_and_reaches_the_end(tmp_path: Path, tables: Tables) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n" * 200_000)
    said: list[tuple[int, int]] = []
    ingest("x.csv", tables=tables, name="x", as_of=AS_OF, base=tmp_path, progress=lambda *now: said.append(now))
    size = (tmp_path / "x.csv").stat().st_size
    assert said == sorted(said)
    assert said[-1] == (size, size)
    assert {total for _, total in said} == {size}
    assert len(said) > 5


def test_an_exception_in_progress_stops_the_ingest_and_leaves_nothing(tmp_path: Path, tables: Tables) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n" * 200_000)

    def stop(done: int, total: int) -> None:
        if done > total * 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest("x.csv", tables=tables, name="x", as_of=AS_OF, base=tmp_path, progress=stop)
    assert tables.find("x") is None
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


CHILD = """
import os, resource, signal, sys
from pathlib import Path
from trueup.data.ingest import ingest
from trueup.kernel.errors import TrueupError
from trueup.lake.tables import Tables
import duckdb, pyarrow.dataset, deltalake
lake, source, how = sys.argv[1:]
tables = Tables(lake)
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
elif os.geteuid() == 0:
    os.setuid(65534)
try:
    ingest(source, tables=tables, name="cases", as_of=0)
except TrueupError as error:
    print(error.code)
"""


def run_child(*arguments: str) -> str:
    ran = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_a_full_disk_keeps_the_previous_version(
    take: Callable[..., IngestReport], tables: Tables, tmp_path: Path
) -> None:
    before = take("a,b\n1,2\n")
    large = tmp_path / "large.csv"
    large.write_text("a,b\n" + "".join(f"{i},{os.urandom(16).hex()}\n" for i in range(20_000)))
    assert run_child(str(tmp_path / "lake"), str(large), "full") == StoreFull.code
    assert tables.get("cases").id == before.table_version
    assert values(tables, "b") == [2]
    assert [p for p in (tmp_path / "lake").rglob("*.parquet") if "_staging" in p.parts] == []


def test_a_read_only_folder_is_named(open_folder: Path) -> None:
    old, new, lake = open_folder / "old.csv", open_folder / "new.csv", open_folder / "lake"
    old.write_text("a,b\n1,2\n")
    new.write_text("a,b\n3,4\n")
    before = ingest(str(old), tables=Tables(lake), name="cases", as_of=AS_OF)
    folders = [lake, *(path for path in lake.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    assert run_child(str(lake), str(new), "read-only") == StoreReadOnly.code
    for folder in folders:
        folder.chmod(0o755)
    assert Tables(lake).get("cases").id == before.table_version


def test_a_source_we_may_not_read_is_named(open_folder: Path) -> None:
    (open_folder / "secret.csv").write_text("a\n1\n")
    (open_folder / "secret.csv").chmod(0)
    (open_folder / "lake").mkdir()
    answer = run_child(str(open_folder / "lake"), str(open_folder / "secret.csv"), "read-only")
    assert answer == errors.SourceUnreadable.code


@pytest.mark.data
def test_the_blanks_of_telco_churn_are_named(real_data: Path, tables: Tables) -> None:
    source = str(real_data / "telco_churn" / "Telco-Customer-Churn.csv")
    report = ingest(source, tables=tables, name="cases", as_of=AS_OF, case_id=("customerID",))
    assert report.rows == 7_043
    messages = [notice.message for notice in report.notices if notice.column == "TotalCharges"]
    assert messages == ["TotalCharges: 11 blanks in 7,043 numbers, read as missing"]
    total = next(column for column in report.columns if column.name == "TotalCharges")
    assert (total.kind, total.stored, total.missing) == ("number", "double", 11)
    assert codes(report).isdisjoint({"data.duplicate-rows", "data.duplicate-ids"})


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "rows"), [("hotel_bookings/hotel_bookings.parquet", 119_390), ("nycflights13/flights.parquet", 336_776)]
)
def test_real_parquet_comes_in_whole(real_data: Path, tables: Tables, file: str, rows: int) -> None:
    report = ingest(str(real_data / file), tables=tables, name="cases", as_of=AS_OF)
    assert report.rows == rows
    assert len(report.columns) == len(pq.read_schema(real_data / file))
    assert {column.kind for column in report.columns} == {"number", "category", "date"}


def test_a_table_in_an_object_store_holds_the_same_rows(
    s3_server: S3Server, take: Callable[..., IngestReport], tmp_path: Path
) -> None:
    here = take("a,b\n1,x\n2,y\n")
    there = Tables(f"{s3_server.create_bucket('ingest')}/lake", s3_server.options, scratch=tmp_path / "scratch")
    report = ingest("cases.csv", tables=there, name="cases", as_of=AS_OF, base=tmp_path)
    assert report.digest == here.digest
    files = there.local_files("cases", into=tmp_path / "fetched")
    assert [pq.read_table(file)["b"].to_pylist() for file in files] == [["x", "y"]]


def test_2000_columns_come_in(take: Callable[..., IngestReport]) -> None:
    line = ",".join(str(i % 7) for i in range(2_000))
    report = take(",".join(f"c{i}" for i in range(2_000)) + "\n" + f"{line}\n" * 20)
    assert (report.rows, len(report.columns)) == (20, 2_000)
    assert {column.stored for column in report.columns} == {"int64"}
