"""Is anything published half there? Train and rehearse are killed and interrupted at every line they say."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from trueup.bundle.loading import verify_bundle

from . import conftest as journeys
from .conftest import Place

LONGEST_SECONDS = 20
TRAIN = ("train", "--no-guided")
REHEARSE = ("rehearse", "--no-guided")
TWO = (*REHEARSE, "--workers", "2")


def start(place: Place, command: tuple[str, ...]) -> subprocess.Popen[str]:
    """Start a command whose processes can all be found by the folder they keep temporary files in."""
    mark = place.folder / "tmp"
    mark.mkdir(exist_ok=True)
    return subprocess.Popen(
        place.command(*command),
        cwd=place.folder,
        env=place.environment(TMPDIR=str(mark)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(place: Place) -> set[int]:
    """Return the ids of all processes that work for a project, by their environment."""
    mark = f"TMPDIR={place.folder / 'tmp'}\0".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes() + b"\0":
                found.add(int(path.parent.name))
        except OSError:
            continue  # it ended, or is not ours
    return found


def command_of(process: int) -> bytes:
    """Return the command line of a process; nothing once it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def check_no_process_remains(place: Place) -> None:
    """Wait for each process that still works for a project to end by itself."""
    while left := processes_of(place):
        for process in left:
            try:
                handle = os.pidfd_open(process)
            except ProcessLookupError:
                continue
            ended, _, _ = select.select([handle], [], [], LONGEST_SECONDS)
            os.close(handle)
            assert ended, f"process {process} is an orphan"


def check_whole(place: Place, before: dict[str, str], finished: Place) -> None:
    """Check that what was published is still there, and that whatever is new is whole."""
    after = place.published()
    assert [name for name in journeys.changed(before, after) if name.startswith("lake")] == []
    bundles = place.work / "lake" / "bundles"
    for path in bundles.glob("[0-9a-f]*") if bundles.exists() else []:
        verify_bundle(path, trusted_keys=[place.work / "keys" / "bundle-signing.key.pub"])
    for name in ("rehearsal.json", "report.html"):
        path = place.work / "reports" / name
        if path.exists():
            assert path.read_bytes() == (finished.work / "reports" / name).read_bytes()
    for history in (place.work / "scratch" / "histories").glob("*"):
        assert (history / "history.json").exists()


def unpublished(finished: Place, folder: Path) -> Place:
    """Return the project with its table alone, so that everything else is made again."""
    place = journeys.write_project(folder)
    ended = place.run("ingest")
    assert ended.code == 0, ended.err
    return place


def stopped_at(place: Place, command: tuple[str, ...], line: int, how: signal.Signals) -> tuple[int, str]:
    """Send a signal once a command has said `line` lines; return its exit code and all it said."""
    with start(place, command) as child:
        assert child.stderr is not None
        said = "".join(child.stderr.readline() for _ in range(line))
        child.send_signal(how)
        _, rest = child.communicate()
    return child.returncode, said + rest


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize(
    ("command", "lines"),
    [
        pytest.param(TRAIN, (2, 3, 4, 5), id="train"),
        pytest.param(REHEARSE, (2, 3, 4, 5, 6, 8, 9), id="rehearse"),
        pytest.param(TWO, (5, 6, 7), id="two workers"),
    ],
)
def test_killed_at_any_line_the_next_run_gives_what_an_undisturbed_one_gives(
    finished: Place, tmp_path: Path, command: tuple[str, ...], lines: tuple[int, ...]
) -> None:
    place = unpublished(finished, tmp_path / "small")
    before = place.published()

    for line in lines:
        code, said = stopped_at(place, command, line, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        check_no_process_remains(place)
        check_whole(place, before, finished)

    ended = place.run(*command)
    assert ended.code == 0, ended.err
    check_whole(place, before, finished)
    if command == TRAIN:
        assert place.bundles() == finished.bundles()
    else:
        assert place.rehearsal() == finished.rehearsal()
    assert list((place.work / "scratch" / "models" / "runners").iterdir()) == []
    assert not list(place.work.rglob("*unfinished*"))
    assert not list(place.work.rglob(".partial*"))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize(
    ("command", "line"),
    [
        pytest.param(TRAIN, 4, id="train"),
        pytest.param(REHEARSE, 3, id="rehearse"),
        pytest.param(REHEARSE, 6, id="rehearse, playing"),
        pytest.param(TWO, 5, id="two workers"),
    ],
)
def test_interrupted_it_says_so_and_leaves_nothing_behind(place: Place, command: tuple[str, ...], line: int) -> None:
    before = place.published()

    code, said = stopped_at(place, command, line, signal.SIGINT)

    assert code == 130, said
    assert "interrupted; nothing is half-written, run the same command again" in said
    assert "Traceback" not in said
    check_no_process_remains(place)
    assert place.published() == before
    assert list((place.work / "scratch" / "models" / "runners").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize(
    ("command", "child"), [(TRAIN, b"runner_child"), (TWO, b"spawn_main")], ids=["model process", "worker"]
)
def test_a_child_that_is_killed_ends_the_command_with_a_clear_error(
    place: Place, command: tuple[str, ...], child: bytes
) -> None:
    before = place.published()
    with start(place, command) as parent:
        assert parent.stderr is not None
        while not (found := [process for process in processes_of(place) if child in command_of(process)]):
            assert parent.poll() is None, "it ended without such a child"
        os.kill(found[0], signal.SIGKILL)
        _, rest = parent.communicate()

    assert parent.returncode == 3, rest
    assert "Traceback" not in rest
    assert "signal 9" in rest
    check_no_process_remains(place)
    assert place.published() == before


def test_two_folders_and_any_number_of_workers_give_the_same_bytes(finished: Place, tmp_path: Path) -> None:
    other = unpublished(finished, tmp_path / "elsewhere" / "small")

    for command in (TRAIN, TWO, TRAIN):
        ended = other.run(*command)
        assert ended.code == 0, ended.err

    assert other.bundles() == finished.bundles()
    assert other.rehearsal() == finished.rehearsal()
