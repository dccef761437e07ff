"""Is a person erased from every copy of the log, and nobody else?"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lake.failing_disk import BROKEN, FULL, SHORT, FailingDisk, in_turn
from tests.lake.log_making import NOON, a_prediction, a_row, a_segment

from trueup.lake.errors import StoreFull, StoreUnavailable
from trueup.lake.feature_schemas import write_schema
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_manifest import LogManifest
from trueup.lake.personal import BadSealedValue, Erased, KeyFolder, PersonalSealer, erase_from_log
from trueup.lake.sealing import Sealer

DAY = 24 * 3600 * 1_000_000
COLUMNS = ("iban", "name")


def a_sealer(folder: Path, **more: Any) -> PersonalSealer:
    return PersonalSealer(folder, COLUMNS, clock=more.pop("clock", lambda: NOON), **more)


def seal(sealer: PersonalSealer, *rows: dict[str, Any], cases: list[str | None] | None = None) -> list[dict[str, Any]]:
    content = sealer.seal_rows(json.dumps(rows).encode(), cases or ["a"] * len(rows))
    found: list[dict[str, Any]] = json.loads(content)
    return found


def sealed_of(row: dict[str, Any]) -> bytes:
    return base64.b64decode(row["_personal"])


def test_personal_values_are_sealed_and_open_again(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path)
    first, second, third = seal(
        sealer,
        {"iban": "DE1", "amount": 5.0, "name": {"first": "Ann"}},
        {"amount": 6},
        {"iban": None, "amount": 7},
        cases=["a", "b", None],
    )
    assert set(first) == {"amount", "_personal"}
    assert second == {"amount": 6}
    keys = KeyFolder(tmp_path)
    assert keys.open_row(sealed_of(first)) == {"iban": "DE1", "name": {"first": "Ann"}}
    assert keys.open_value(sealed_of(first), "iban") == "DE1"
    assert keys.open_row(sealed_of(third)) == {"iban": None}
    assert keys.open_value(sealed_of(third), "name") is None
    sealer.close()


@pytest.mark.parametrize(
    "rows",
    [
        b'[{"iban":"SECRET","iban":"x"}]',
        b'[{"ib\\u0061n":"SECRET"}]',
        b'[{"_personal":"SECRET","iban":"x"}]',
        b'[{"_personal":"SECRET"}]',
        b' [ { "iban" : {"deep": ["SECRET"]} } ] ',
    ],
)
def test_no_spelling_of_a_row_lets_a_personal_value_through(tmp_path: Path, rows: bytes) -> None:
    sealer = a_sealer(tmp_path)
    assert b"SECRET" not in sealer.seal_rows(rows, ["a"])
    sealer.close()


def test_an_erased_case_cannot_be_opened_and_others_can(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path)
    rows = seal(sealer, {"iban": "1"}, {"iban": "2"}, {"iban": "3"}, {"iban": "4"}, cases=["a", "b", "a", None])
    keys = KeyFolder(tmp_path)
    assert keys.erase_case("a") == 2
    assert keys.erase_case("a") == 0
    for place, value in ((1, "2"), (3, "4")):
        assert keys.open_value(sealed_of(rows[place]), "iban") == value
    for place in (0, 2):
        with pytest.raises(Erased):
            keys.open_row(sealed_of(rows[place]))
    sealer.close()


def test_erasing_reaches_the_file_a_running_process_appends_to(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path)
    (before,) = seal(sealer, {"iban": "1"})
    keys = KeyFolder(tmp_path)
    assert keys.erase_case("a") == 1
    (after,) = seal(sealer, {"iban": "2"})
    assert keys.open_value(sealed_of(after), "iban") == "2"  # the person came back
    with pytest.raises(Erased):
        keys.open_row(sealed_of(before))
    assert len(list(tmp_path.iterdir())) == 1
    sealer.close()


def test_erasing_is_noted_in_the_manifest_without_naming_the_case(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path / "keys")
    seal(sealer, {"iban": "1"}, cases=["case-4711"])
    store = FolderStore(tmp_path / "lake")
    count = erase_from_log(KeyFolder(tmp_path / "keys"), LogManifest(store, "p"), association_id="case-4711", now=NOON)
    assert count == 1
    (entry,) = LogManifest(store, "p").entries()
    assert (entry.kind, entry.keys, entry.at) == ("erased", 1, NOON)
    assert b"4711" not in store.get("log/p/manifest/00000001.json")
    sealer.close()


def every_byte(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                yield path.read_bytes()


@settings(max_examples=15, deadline=None)
@given(cases=st.lists(st.sampled_from("abc"), min_size=1, max_size=8), erased=st.sampled_from("abc"))
def test_after_erasing_nothing_reveals_the_values(
    tmp_path_factory: pytest.TempPathFactory, cases: list[str], erased: str
) -> None:
    folder = tmp_path_factory.mktemp("erasing")
    store, hot, key_folder = FolderStore(folder / "lake"), folder / "hot", folder / "keys"
    schema = write_schema(store, {"iban": "text", "amount": "number"})
    sealer = a_sealer(key_folder)
    for step, case in enumerate(cases):
        body = seal(sealer, {"iban": f"SECRET-{case}-{step}", "amount": step}, cases=[case])
        a_segment(hot, [a_prediction(a_row(case=case), body=body, schema=schema)], now=NOON + step)
    sealer.close()
    Sealer(store, "p", hot=hot, clock=lambda: NOON).seal_finished()
    keys = KeyFolder(key_folder)
    keys.erase_case(erased)
    assert not any(b"SECRET" in content for content in every_byte(folder))
    manifest = LogManifest(store, "p")
    manifest.refresh()
    rows = [
        row
        for file in manifest.files(f"features/{schema}")
        for row in pq.read_table(io.BytesIO(store.get(file.path))).to_pylist()
    ]
    assert len(rows) == len(cases)
    left = [content[at : at + 32] for content in every_byte(key_folder) for at in range(0, len(content), 32)]
    for row in rows:
        assert row["iban"] is None
        if row["_association_id"] != erased:
            opened = keys.open_value(row["_personal"], "iban")
            assert opened == f"SECRET-{row['_association_id']}-{row['amount']:.0f}"
            continue
        with pytest.raises(Erased):
            keys.open_row(row["_personal"])
        for key in left:
            with pytest.raises(InvalidTag):
                AESGCM(key).decrypt(row["_personal"][17:29], row["_personal"][29:], row["_personal"][:17])


def test_changed_bytes_are_noticed(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path)
    (row,) = seal(sealer, {"iban": "1"})
    sealed, keys = sealed_of(row), KeyFolder(tmp_path)
    with pytest.raises(BadSealedValue):
        keys.open_row(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    for content in (b"", sealed[:20], b"\x02" + sealed[1:]):
        with pytest.raises(BadSealedValue):
            keys.open_row(content)
    sealer.close()


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path / "keys")
    seal(sealer, {"iban": "1"})
    (path,) = (tmp_path / "keys").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    sealer.close()


@pytest.mark.parametrize(("fate", "error"), [(FULL, StoreFull), (SHORT, StoreFull), (BROKEN, StoreUnavailable)])
def test_rows_whose_key_cannot_be_written_are_refused(tmp_path: Path, fate: str | int, error: type[Exception]) -> None:
    disk = FailingDisk()
    sealer = a_sealer(tmp_path, disk=disk)
    (before,) = seal(sealer, {"iban": "1"})
    disk.on_write = in_turn(fate)
    with pytest.raises(error):
        seal(sealer, {"iban": "2"})
    (after,) = seal(sealer, {"iban": "3"})
    keys = KeyFolder(tmp_path)
    assert keys.open_value(sealed_of(before), "iban") == "1"
    assert keys.open_value(sealed_of(after), "iban") == "3"
    sealer.close()


def test_keys_are_synced_also_those_of_files_that_ended(tmp_path: Path) -> None:
    disk = FailingDisk()
    moments = iter([NOON, NOON + DAY, NOON + DAY])
    sealer = a_sealer(tmp_path, disk=disk, clock=lambda: next(moments))
    sealer.sync()
    assert disk.flushes == 0
    seal(sealer, {"iban": "1"})
    seal(sealer, {"iban": "2"})
    sealer.sync()
    assert disk.flushes == 2
    sealer.sync()
    assert disk.flushes == 3
    disk.on_flush = in_turn(BROKEN)
    with pytest.raises(StoreUnavailable):
        sealer.sync()
    sealer.close()


def test_keys_go_when_their_time_is_over(tmp_path: Path) -> None:
    moments = iter([NOON, NOON + DAY - 1, NOON + DAY])
    sealer = a_sealer(tmp_path, clock=lambda: next(moments))
    rows = [seal(sealer, {"iban": str(place)})[0] for place in range(3)]
    keys = KeyFolder(tmp_path)
    assert keys.drop_before(NOON + DAY - 1) == 0
    assert keys.drop_before(NOON + DAY) == 1
    for row in rows[:2]:
        with pytest.raises(Erased):
            keys.open_row(sealed_of(row))
    assert keys.open_value(sealed_of(rows[2]), "iban") == "2"
    sealer.close()


def test_the_cipher_is_imported_only_when_values_are_sealed() -> None:
    code = "import sys, trueup.lake.personal; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"cryptography", "pyarrow"}.isdisjoint(ran.stdout.split())


def test_files_of_keys_that_ended_are_closed_where_nobody_syncs_them(tmp_path: Path) -> None:
    day = 0
    sealer = a_sealer(tmp_path, clock=lambda: day * 86_400_000_000 + 1, synced=False)
    seal(sealer, {"iban": "DE1"})
    before = len(list(Path("/proc/self/fd").iterdir()))
    for day in range(1, 20):  # noqa: B007  # the clock reads it
        seal(sealer, {"iban": "DE1"})
    assert len(list(tmp_path.glob("*.keys"))) == 20
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    sealer.close()
