"""Is every version of a table whole, kept, and named by its rows?"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from trueup.kernel.errors import TrueupError
from trueup.lake.row_digest import RowDigest, recut
from trueup.lake.staging import UnsupportedType
from trueup.lake.tables import BadTableName, SchemaChanged, TableMissing, Tables

if TYPE_CHECKING:
    from tests.conftest import S3Server

_numbers = itertools.count()


@pytest.fixture(params=["folder", "s3"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Tables:
    if request.param == "folder":
        return Tables(tmp_path / "lake")
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.create_bucket(f"tables-{next(_numbers)}")
    return Tables(f"{bucket}/lake", server.options, scratch=tmp_path / "scratch")


def reader(numbers: Sequence[int | None], *, name: str = "x") -> pa.RecordBatchReader:
    table = pa.table({name: pa.array(numbers, pa.int64()), "text": pa.array([str(n) for n in numbers])})
    return table.to_reader(max_chunksize=2)


def rows_of(tables: Tables, name: str, version: int | None = None) -> list[int]:
    found = pa.Table.from_batches(tables.batches(name, version))
    return sorted(found["x"].to_pylist())


def test_every_version_stays_readable(tables: Tables) -> None:
    first = tables.write("cases", reader([1, 2, 3]))
    second = tables.write("cases", reader([7]))
    assert (first.id, first.rows, second.id, second.rows) == ("cases@0", 3, "cases@1", 1)
    assert rows_of(tables, "cases", 0) == [1, 2, 3]
    assert rows_of(tables, "cases") == [7]
    assert [version.id for version in tables.history("cases")] == ["cases@0", "cases@1"]


def test_other_tools_read_the_same_rows(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.write("cases", reader([1, 2, 3]))
    tables.write("cases", reader([4], name="other"))
    assert DeltaTable(str(tmp_path / "cases"), version=0).to_pyarrow_table()["x"].to_pylist() == [1, 2, 3]
    assert DeltaTable(str(tmp_path / "cases")).to_pyarrow_table()["other"].to_pylist() == [4]


def test_a_version_written_by_another_tool_has_a_digest(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    ours = tables.write("cases", reader([1, 2, 3]))
    write_deltalake(tmp_path / "theirs", reader([1, 2, 3]).read_all().combine_chunks())  # it reorders batches
    assert tables.get("theirs").digest == ours.digest
    assert tables.get("theirs").rows == 3


def test_the_same_rows_have_the_same_digest_and_make_no_version(tables: Tables) -> None:
    first = tables.write("cases", reader([1, 2, None]))
    again = tables.write("cases", reader([1, 2, None]))
    assert (again.id, again.digest, again.is_new) == (first.id, first.digest, False)
    assert tables.write("copy", reader([1, 2, None])).digest == first.digest
    assert tables.write("cases", reader([1, 2, 0])).digest != first.digest


def test_appended_rows_come_after_the_old_ones(tables: Tables, tmp_path: Path) -> None:
    for number in range(5):
        tables.write("cases", reader([number]), mode="append")
    files = tables.local_files("cases", into=tmp_path / "fetched")
    assert [pq.read_table(file)["x"].to_pylist() for file in files] == [[0], [1], [2], [3], [4]]
    assert tables.get("cases").rows == 5


def test_appending_other_columns_is_refused_by_name(tables: Tables) -> None:
    tables.write("cases", reader([1]))
    with pytest.raises(SchemaChanged, match="other"):
        tables.write("cases", reader([2], name="other"), mode="append")
    assert tables.get("cases").id == "cases@0"


def test_no_append_is_lost_between_many_writers(tables: Tables) -> None:
    tables.write("cases", reader([0]))
    failed: list[Exception] = []

    def append(number: int) -> None:
        try:
            tables.write("cases", reader([number]), mode="append")
        except TrueupError as error:
            failed.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert rows_of(tables, "cases") == [0, 1, 2, 3]
    assert [version.rows for version in tables.history("cases")] == [1, 2, 3, 4]


def test_a_stream_that_breaks_leaves_the_previous_version_and_no_files(tables: Tables, tmp_path: Path) -> None:
    tables.write("cases", reader([1, 2]))
    schema = reader([1]).schema

    def breaking() -> Iterator[pa.RecordBatch]:
        yield from reader(range(70_000))
        raise RuntimeError("the source went away")

    with pytest.raises(RuntimeError, match="went away"), tables.staging("cases") as staging:
        staging.write(breaking(), schema)
    assert rows_of(tables, "cases") == [1, 2]
    assert [p for p in tmp_path.rglob("*.parquet") if "_staging" in p.parts] == []


def test_what_was_noted_is_kept_with_the_version(tables: Tables) -> None:
    tables.write("cases", reader([1]), note={"source": "cases.csv"})
    tables.write("cases", reader([2]))
    assert tables.note_of("cases", 0) == {"source": "cases.csv"}
    assert tables.note_of("cases") == {}


def test_a_missing_table_or_version_is_named_with_what_is_there(tables: Tables) -> None:
    assert tables.find("cases") is None
    with pytest.raises(TableMissing, match="there are: none"):
        tables.file_uris("cases")
    tables.write("cases", reader([1]))
    with pytest.raises(TableMissing, match='did you mean "cases"'):
        tables.get("casse")
    with pytest.raises(TableMissing, match="versions 0 to 0, not 4"):
        tables.get("cases", 4)
    for never in (-1, 2**63):
        with pytest.raises(TableMissing, match=f"versions 0 to 0, not {never}"):
            tables.get("cases", never)
    assert tables.names() == ("cases",)


@pytest.mark.parametrize("name", ["", "..", "a/b", "_delta_log", "a b"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadTableName):
        Tables(tmp_path).write(name, reader([1]))


def test_a_type_without_a_place_is_refused_by_column(tmp_path: Path) -> None:
    table = pa.table({"fine": [1], "nested": [{"a": 1}]})
    with pytest.raises(UnsupportedType, match='"nested"'):
        Tables(tmp_path).write("cases", table.to_reader())
    assert Tables(tmp_path).find("cases") is None


@given(
    st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | st.text(max_size=3)), max_size=40),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_the_digest_does_not_depend_on_how_rows_are_cut(
    rows: list[tuple[int | None, str | None]], cuts: list[int]
) -> None:
    table = pa.table(
        {"n": pa.array([n for n, _ in rows], pa.int64()), "t": pa.array([t for _, t in rows], pa.string())}
    )
    batches = []
    position = 0
    for size in itertools.cycle(cuts):
        if position >= len(rows):
            break
        batches += table.slice(position, size).to_batches()
        position += size
    assert digest(batches, table.schema) == digest(table.to_batches(), table.schema)


def test_the_digest_tells_missing_from_empty_and_columns_apart() -> None:
    different = [
        pa.table({"a": ["x", ""]}),
        pa.table({"a": pa.array(["x", None])}),
        pa.table({"b": ["x", ""]}),
        pa.table({"a": ["", "x"]}),
        pa.table({"a": ["x"]}),
        pa.table({"a": [1, 0]}),
        pa.table({"a": [1.0, 0.0]}),
        pa.table({"a": pa.array([1, None])}),
    ]
    assert len({digest(table.to_batches(), table.schema) for table in different}) == len(different)


def digest(batches: list[pa.RecordBatch], schema: pa.Schema) -> str:
    made = RowDigest(schema)
    for batch in recut(batches, schema):
        made.update(batch)
    return made.hexdigest()
