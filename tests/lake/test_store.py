"""What does only a local folder, or only a URL, promise?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.lake.errors import BadStoreUrl, StoreFull, StoreReadOnly, StoreUnavailable
from trueup.lake.folder_store import FolderStore
from trueup.lake.stores import open_store, options_in

DATA_LIBRARIES = {"pyarrow", "pandas", "duckdb", "deltalake", "sklearn", "numpy", "sqlglot", "obstore"}


def test_a_store_is_opened_by_url(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    open_store(folder).put("x", b"1")
    assert open_store(folder.as_uri()).get("x") == b"1"
    assert open_store(str(folder)).url == folder.as_uri()


@pytest.mark.parametrize("url", ["gs://bucket", "http://example.com", ""])
def test_an_unknown_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(BadStoreUrl, match="allowed are"):
        open_store(url)


def test_a_server_can_open_a_folder_without_data_libraries(tmp_path: Path) -> None:
    code = "import sys; from trueup.lake.stores import open_store\n"
    code += "open_store(sys.argv[1]).put('x', b'1'); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert DATA_LIBRARIES.isdisjoint(ran.stdout.split())


def test_temporary_files_of_a_dead_process_are_removed_by_the_next_writer(tmp_path: Path) -> None:
    killed = """
import os, sys
from trueup.lake import folder_store
folder_store.move_into_place = lambda *paths: os.kill(os.getpid(), 9)
folder_store.FolderStore(folder_store.Path(sys.argv[1])).put("x", b"half")
"""
    FolderStore(tmp_path).put("x", b"whole")
    ran = subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    assert ran.returncode == -9
    writing = tmp_path / ".store" / "writing"
    assert len(list(writing.iterdir())) == 1
    store = FolderStore(tmp_path)
    assert store.get("x") == b"whole"
    store.put("y", b"1")
    assert list(writing.iterdir()) == []


def test_a_full_disk_leaves_the_old_object(tmp_path: Path) -> None:
    limited = """
import resource, signal, sys
from pathlib import Path
from trueup.lake.errors import StoreFull
from trueup.lake.folder_store import FolderStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    FolderStore(Path(sys.argv[1])).put("x", b"n" * 10_000)
except StoreFull as error:
    print(error.code)
"""
    store = FolderStore(tmp_path)
    store.put("x", b"old")
    ran = subprocess.run([sys.executable, "-c", limited, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == StoreFull.code
    assert store.get("x") == b"old"
    assert list((tmp_path / ".store" / "writing").iterdir()) == []


def test_a_read_only_folder_is_named(open_folder: Path) -> None:
    folder = open_folder / "store"
    FolderStore(folder).put("x", b"old")
    folder.chmod(0o555)
    (folder / ".store" / "writing").chmod(0o555)
    attempt = """
import os, sys
from pathlib import Path
from trueup.lake.errors import LakeError
from trueup.lake.folder_store import FolderStore
if os.geteuid() == 0:
    os.setuid(65534)
try:
    FolderStore(Path(sys.argv[1])).put("y", b"new")
except LakeError as error:
    print(error.code)
"""
    ran = subprocess.run([sys.executable, "-c", attempt, str(folder)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == StoreReadOnly.code
    folder.chmod(0o755)
    assert FolderStore(folder).get("x") == b"old"


@pytest.mark.parametrize("leaves", ["nothing", "an empty mount point"])
def test_a_folder_that_is_away_is_not_begun_again_by_those_who_knew_it(tmp_path: Path, leaves: str) -> None:
    folder, away = tmp_path / "lake", tmp_path / "away"
    known, begun = FolderStore(folder), open_store(folder, begun=True)
    known.put("log/1", b"sealed")
    folder.rename(away)
    if leaves != "nothing":
        folder.mkdir()
    for store in (known, begun):
        with pytest.raises(StoreUnavailable, match="not there, or empty"):
            store.put_if_absent("log/2", b"more")
        for read in (store.get, store.open, store.exists, lambda key, of=store: list(of.list(key))):
            with pytest.raises(StoreUnavailable, match="not there, or empty"):  # not: there is no log
                read("log")
    assert not folder.exists() or not any(folder.iterdir())
    if folder.exists():
        folder.rmdir()
    away.rename(folder)
    known.put_if_absent("log/2", b"more")
    assert begun.get("log/2") == b"more"


def test_a_read_that_fails_is_told_as_such_and_not_as_an_object_that_is_missing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("state", b"1")
    (tmp_path / "state").unlink()
    (tmp_path / "state").symlink_to(tmp_path / "state")
    for read in (store.get, store.get_versioned, lambda key: store.get_if_changed(key, since=""), store.open):
        with pytest.raises(StoreUnavailable, match=r'state" cannot be read: '):
            read("state")


def test_settings_of_other_programs_are_none_of_ours() -> None:
    environment = {"AWS_REGION": "us-east-1", "AWS_CA_BUNDLE": "/etc/ca.pem", "AWS_PROFILE": "work", "HOME": "/root"}
    assert options_in(environment) == {"AWS_REGION": "us-east-1"}


def test_an_object_store_that_does_not_answer_is_named() -> None:
    options = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    store = open_store("s3://bucket/prefix", options={**options, "AWS_REGION": "us-east-1"})
    with pytest.raises(StoreUnavailable, match="s3://bucket/prefix") as first:
        store.get("x")
    assert "error sending request" in first.value.message
    for _ in range(2):  # in the same words: whoever tells only what is new tells it once
        with pytest.raises(StoreUnavailable, match=re.escape(first.value.message)):
            store.get("x")
