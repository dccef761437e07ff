"""Is everything told, and is what is kept of it bounded, also when several processes tell at once?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from trueup.lake.told_output import tell_into

SWAPPED = """
import fcntl, sys
from pathlib import Path
from trueup.lake.told_output import tell_into
path = Path(sys.argv[1])
real = fcntl.flock
def faster(file, how):
    real(file, how)
    path.replace(path.with_name("told.log.1"))
fcntl.flock = faster
tell_into(path, most_bytes=1)
print("told", flush=True)
"""
TELL = """
import os, sys
from pathlib import Path
from trueup.lake.told_output import tell_into
path, who, lines, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(lines):
    tell_into(path, most_bytes=most)
    os.write(2 if number % 2 else 1, f"{who} {number}\\n".encode())  # whole, whoever writes beside
"""


def telling(path: Path, who: str, *, lines: int, most_bytes: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", TELL, str(path), who, str(lines), str(most_bytes)])


def test_a_full_file_is_kept_as_the_one_before_and_a_new_one_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "told.log"
    assert telling(path, "one", lines=1_000, most_bytes=500).wait() == 0
    kept = [tmp_path / "told.log.1", path]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert all(file.stat().st_size < 520 for file in kept)
    lines = "".join(file.read_text() for file in kept).splitlines()
    assert lines == [f"one {number}" for number in range(1_000 - len(lines), 1_000)]


def test_processes_that_share_a_file_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "told.log"
    ran = [telling(path, who, lines=2_000, most_bytes=25_000) for who in ("a", "b")]
    assert [process.wait() for process in ran] == [0, 0]
    lines = [line for name in ("told.log.1", "told.log") for line in (tmp_path / name).read_text().splitlines()]
    assert sorted(lines) == sorted(f"{who} {number}" for who in ("a", "b") for number in range(2_000))


def test_a_file_that_another_process_just_took_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "told.log"
    path.write_text("before\n")
    assert subprocess.run([sys.executable, "-c", SWAPPED, str(path)], check=False).returncode == 0
    assert (path.read_text(), path.with_name("told.log.1").read_text()) == ("told\n", "before\n")


def test_what_cannot_be_opened_leaves_output_as_it_was(tmp_path: Path) -> None:
    try:
        tell_into(tmp_path / "nowhere" / "told.log")
    except FileNotFoundError:
        return
    raise AssertionError("a missing folder must be said")
