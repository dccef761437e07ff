"""Is anything lost to bad input? The real command line, on a project that worked before."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from trueup.bundle.errors import BundleRefused
from trueup.bundle.loading import verify_bundle

from . import conftest as journeys
from .conftest import Ended, Place

HEADER = "case,at,known,size,kind,bad\n"


def check_refused(place: Place, before: dict[str, str], ended: Ended, code: int, *said: str) -> None:
    """Check that a command said what is wrong, and that everything published is as it was."""
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    assert "fault in Trueup" not in ended.err
    for text in said:
        assert text in ended.err
    assert place.published() == before
    unfinished = [p for p in place.work.rglob("*") if "unfinished" in p.name or "partial" in p.name]
    assert unfinished == []


def replace_lines(place: Place, change: Callable[[int, list[str]], None]) -> None:
    """Change the cells of every row of the source in place."""
    header, *rows = place.source.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    for i, row in enumerate(cells):
        change(i, row)
    place.source.write_text("\n".join([header, *(",".join(row) for row in cells)]) + "\n")


def set_label(value: str) -> Callable[[int, list[str]], None]:
    def change(i: int, row: list[str]) -> None:
        row[5] = value

    return change


WIDE = ",".join(f"x{i}" for i in range(10_000))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", ["cases.csv", "is empty", "a header and rows"], id="empty file"),
        pytest.param(HEADER.encode(), ["cases.csv", "a header but no rows"], id="header only"),
        pytest.param(
            HEADER.encode() + b"c1,2025-01-01,2025-01-02,1,caf\xe9,1\n",
            ["cases.csv", "line 2", "0xE9", "not UTF-8", "save it as UTF-8"],
            id="wrong encoding",
        ),
        pytest.param(
            HEADER.encode() + b"c1,2025-01-01,2025-01-02,1,a,1\nc2,2025\n",
            ["cases.csv", "line 3", "2 values where the header has 6 columns", "correct the line"],
            id="ragged",
        ),
        pytest.param(
            f"{HEADER[:-1]},{WIDE}\nc1,2025-01-01,2025-01-02,1,a,1,{WIDE}\n".encode(),
            ["cases.csv", "10,006 columns", "at most 2,000", "leave out"],
            id="10,000 columns",
        ),
        pytest.param(
            b"case,at,known,size,Size,bad\nc1,2025-01-01,2025-01-02,1,2,1\n",
            ["cases.csv", "line 1", '"size" (column 4)', "rename them"],
            id="duplicate column names",
        ),
    ],
)
def test_a_source_that_is_no_table_is_refused_and_the_version_before_stays(
    place: Place, content: bytes, said: list[str]
) -> None:
    before = place.published()
    place.source.write_bytes(content)

    check_refused(place, before, place.run("ingest"), 2, *said)


def test_an_error_is_one_json_document_too(place: Place) -> None:
    place.source.write_text("")

    ended = place.run("ingest", "--json")

    assert json.loads(ended.out)["error"]["code"] == "data.empty-file"


def test_a_label_that_is_not_there_is_named_by_every_command(place: Place) -> None:
    before = place.published()
    place.edit("cases.csv", (",bad\n", ",good\n"))

    ended = place.run("ingest")

    # the table is in, as a version more: the project file is what does not fit
    assert (ended.code, "Traceback" in ended.err) == (1, False)
    assert 'data.label: "bad" names the column "bad", which is not there' in ended.out
    after = place.published()
    assert journeys.changed(before, after) == []
    for command in ("rehearse", "train"):
        check_refused(place, after, place.run(command), 2, 'data.label: "bad"', "which is not there", "columns: ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", ["the label bad is empty in every row", "name the column"]),
        ("1", ["the label bad has the same value in all 600 rows", "check the label column"]),
    ],
    ids=["empty", "constant"],
)
def test_a_label_that_says_nothing_trains_and_rehearses_nothing(place: Place, value: str, said: list[str]) -> None:
    before = place.published()
    replace_lines(place, set_label(value))
    assert place.run("ingest").code == 0
    after = place.published()
    assert journeys.changed(before, after) == []

    for command in ("rehearse", "train"):
        check_refused(place, after, place.run(command, "--no-guided"), 2, *said)


def test_dates_in_the_future_are_named_and_not_rehearsed(place: Place) -> None:
    place.edit("cases.csv", (",2025-", ",2225-"))

    ingested = place.run("ingest")

    assert ingested.code == 0
    assert re.search(r"at: 600 dates after 20\d\d-.*, the latest 2225-05-30", ingested.out)
    said = ["no case happened from 2025-04-01 to 2025-05-01", "the data hold 2225-01-01", "change rehearsal.start"]
    check_refused(place, place.published(), place.run("rehearse", "--no-guided"), 2, *said)


RIGHT = 'true_positive = "10"'


@pytest.mark.parametrize("command", ["train", "rehearse"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            RIGHT,
            'true_positive = "sise * 2"',
            ["charter.payoff.true_positive", '"sise"', 'did you mean "size"?'],
            id="payoff of an unknown column",
        ),
        pytest.param(
            RIGHT,
            "true_positive = \"(select max(a) from read_csv('/etc/passwd'))\"",
            ["charter.payoff.true_positive", "a sub-query is not allowed", "an expression has only"],
            id="payoff that queries a file",
        ),
        pytest.param(
            RIGHT,
            "true_positive = \"length(read_text('/etc/passwd'))\"",
            ["charter.payoff.true_positive", '"read_text" is not allowed', "never a file", "allowed: abs"],
            id="payoff that reads a file",
        ),
        pytest.param("cases = 8", "cases = 0", ["charter.capacity.cases: 0 cases", "write 1 or more"], id="capacity 0"),
        pytest.param("cases = 8", "cases = -3", ["charter.capacity.cases: -3", "write 1 or more"], id="capacity -3"),
        pytest.param(
            "exclude =", "exlude =", ['data.exlude: the key "exlude"', 'did you mean "exclude"?'], id="unknown key"
        ),
        pytest.param('"2025-04-01"', '"soon"', ["rehearsal.start", '"soon" is not a date'], id="no date"),
    ],
)
def test_a_wrong_project_file_is_refused_before_anything_runs(
    place: Place, command: str, old: str, new: str, said: list[str]
) -> None:
    before = place.published()
    place.edit("trueup.toml", (old, new))

    check_refused(place, before, place.run(command), 2, "trueup.toml", *said)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("pipeline", "code", "said"),
    [
        pytest.param(
            "def make():\n    raise ValueError('no such thing')\n",
            2,
            ["raised ValueError at pipeline.py, line 2", "traceback, which may hold data, is in"],
            id="raises",
        ),
        pytest.param("def make(:\n", 2, ["raised SyntaxError at pipeline.py, line 1"], id="no Python"),
        pytest.param("def build():\n    pass\n", 2, ['no function "make"', "train.pipeline"], id="no function"),
        pytest.param(
            "import os\n\n\ndef make():\n    os._exit(7)\n", 3, ["ended with exit code 7", "run it again"], id="dies"
        ),
        pytest.param(None, 2, ["train.pipeline names pipeline.py", "not in the project folder"], id="missing"),
    ],
)
def test_a_pipeline_that_does_not_work_is_told_from_a_fault_of_ours(
    place: Place, workers: str, pipeline: str | None, code: int, said: list[str]
) -> None:
    before = place.published()
    (place.folder / "pipeline.py").unlink()
    if pipeline is not None:
        (place.folder / "pipeline.py").write_text(pipeline)
    command = ["train"] if workers == "1" else ["rehearse", "--workers", workers]

    check_refused(place, before, place.run(*command, "--no-guided"), code, *said)


def test_a_period_without_cases_names_the_days_there_are(place: Place) -> None:
    before = place.published()
    place.edit("trueup.toml", ("2025-04-01", "2031-04-01"), ("2025-05-01", "2031-05-01"))

    ended = place.run("rehearse", "--no-guided")

    check_refused(place, before, ended, 2, "no case happened from 2031-04-01", "2025-01-01 to 2025-05-30")


def test_without_a_time_column_nothing_is_rehearsed_but_a_model_is_trained(place: Place) -> None:
    before = place.published()
    place.edit("trueup.toml", ('time = "at"\nlabel', "label"), ('label_known_at = "known"\n', ""))
    place.edit("trueup.toml", ('exclude = ["kind"]', 'exclude = ["kind", "at", "known"]'))

    check_refused(place, before, place.run("rehearse"), 2, "cannot be rehearsed", "name a time column", "data.time")
    trained = place.run("train", "--no-guided")

    assert trained.code == 0, trained.err
    assert journeys.changed(before, place.published()) == ["lake/last-bundle"]


def test_a_handful_of_rows_is_too_little_and_said_to_be(tmp_path: Path) -> None:
    place = journeys.write_project(tmp_path / "small")
    place.source.write_text("".join(place.source.read_text().splitlines(keepends=True)[:4]))
    place.edit("trueup.toml", ('start = "2025-04-01"\nend = "2025-05-01"\n', ""))
    assert place.run("ingest").code == 0
    before = place.published()

    check_refused(place, before, place.run("rehearse"), 2, "3 cases", "too short a past", "ingest a longer past")
    check_refused(place, before, place.run("train"), 2, "3 of the 3 cases", "50 are needed", "ingest more cases")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_kind_of_outcome_before_the_start_trains_nothing(place: Place, workers: str) -> None:
    def nothing_bad_before_april(i: int, row: list[str]) -> None:
        row[5] = "0" if row[1] < "2025-04-03" else row[5]

    replace_lines(place, nothing_bad_before_april)
    assert place.run("ingest").code == 0
    before = place.published()

    ended = place.run("rehearse", "--no-guided", "--workers", workers)

    check_refused(place, before, ended, 2, "on 2025-04-01", "outcomes of both kinds", "rehearsal.start")


def small_files(limit: int) -> Callable[[], None]:
    """Return what makes every file of a process end at `limit` bytes, as a full disk would."""

    def before() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return before


@pytest.mark.parametrize(
    ("command", "forget", "limit"),
    [
        pytest.param("ingest", (), 1_000, id="ingest"),
        pytest.param("rehearse --no-guided", ("scratch",), 3_000, id="history"),
        pytest.param("rehearse --no-guided", ("scratch/models",), 500, id="models"),
        pytest.param("rehearse --no-guided", (), 40_000, id="report"),
        pytest.param("rehearse --no-guided --workers 2", ("scratch/models",), 900, id="workers"),
        pytest.param("train --no-guided", ("lake/bundles",), 20_000, id="bundle"),
    ],
)
def test_a_full_disk_is_named_and_costs_nothing_that_was_there(
    place: Place, command: str, forget: tuple[str, ...], limit: int
) -> None:
    if command == "ingest":
        replace_lines(place, set_label("0"))
    for part in forget:
        shutil.rmtree(place.work / part)
    before = place.published()

    ended = place.run(*command.split(), before=small_files(limit))

    check_refused(place, before, ended, 3, str(place.work), "space")
    again = place.run(*command.split())
    assert again.code == 0, again.err


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift && exec "$@"'


@pytest.mark.parametrize(
    ("command", "locked"),
    [
        ("ingest", "."),
        ("rehearse --no-guided", "."),
        ("train --no-guided", "."),
        ("rehearse --no-guided", ".trueup/reports"),
        ("train --no-guided", ".trueup/lake"),
        ("rehearse --no-guided", ".trueup/scratch"),
        ("ingest", ".trueup/lake"),
    ],
)
def test_a_read_only_folder_is_named_and_keeps_what_it_holds(place: Place, command: str, locked: str) -> None:
    unshare = shutil.which("unshare")
    folder = place.folder / locked
    if (
        not unshare
        or subprocess.run([unshare, "-rm", "sh", "-c", READ_ONLY, "sh", folder, "true"], check=False).returncode
    ):
        pytest.skip("this system does not let a test make a folder read-only")
    if command == "ingest":
        replace_lines(place, set_label("0"))
    if command.startswith("train"):
        shutil.rmtree(place.work / "lake" / "bundles")
    before = place.published()

    ran = subprocess.run(
        [unshare, "-rm", "sh", "-c", READ_ONLY, "sh", str(folder), *place.command(*command.split(), str(place.folder))],
        env=place.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    ended = Ended(ran.returncode, ran.stdout, ran.stderr)
    check_refused(place, before, ended, 3, str(place.folder), "writ")


def test_a_bundle_with_any_byte_flipped_is_refused_and_made_again_by_train(place: Place) -> None:
    (name,) = place.bundles()
    bundle = place.work / "lake" / "bundles" / name
    keys = [place.work / "keys" / "bundle-signing.key.pub"]
    verify_bundle(bundle, trusted_keys=keys)
    files = [path for path in sorted(bundle.rglob("*")) if path.is_file() and path.stat().st_size]
    assert len(files) > 8

    for path in files:
        content = path.read_bytes()
        at = len(content) // 2
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        if path.parent.name == "evidence":
            # what a machine found about the bundle later is beside it, not part of what was signed
            path.write_bytes(content)
            continue
        with pytest.raises(BundleRefused) as refused:
            verify_bundle(bundle, trusted_keys=keys)
        assert name[:12] in refused.value.message
        if path != files[0]:
            path.write_bytes(content)

    ended = place.run("train", "--no-guided")

    assert ended.code == 0, ended.err
    assert place.bundles() == [name]
    verify_bundle(bundle, trusted_keys=keys)
