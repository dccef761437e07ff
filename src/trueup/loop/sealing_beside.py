"""Who seals what a batch run logs? A process beside it, unless a server's does; it ends when the run does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def sealing_beside(lake: str, project: str, *, hot: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Seal the segments in a folder while the block runs, and once more at its end; give the process that does it.

    Parameters
    ----------
    lake : str
        Folder or URL.
    project : str
    hot : Path
        The folder of segments.

    Notes
    -----
    Where another process seals the folder all the time, this one ends with `sealing_process.ELSEWHERE`. What cannot be
    sealed stays in the folder for the next one.
    """
    command = [sys.executable, "-m", "trueup.lake.sealing_process", "--lake", lake, "--project", project]
    command += ["--hot", str(hot), "--seconds", "2", "--with-stdin"]
    # a session of its own: Ctrl-C is for the run, whose last records are sealed too
    with subprocess.Popen(  # noqa: S603  # our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        yield process
