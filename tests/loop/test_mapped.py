"""Arrays of a rehearsal live on disk and leave nothing behind."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from trueup.loop.mapped import mapped_array


def test_an_array_on_disk_starts_with_zeros_and_keeps_what_is_written(tmp_path: Path) -> None:
    array = mapped_array(tmp_path, 1_000, np.float64)
    assert not array.any()
    array[10:20] = 3.5
    assert array.sum() == 35.0
    assert list(tmp_path.iterdir()) == []


def test_an_empty_array_needs_no_file(tmp_path: Path) -> None:
    assert len(mapped_array(tmp_path, 0, np.bool_)) == 0


def test_a_full_disk_is_said_before_anything_is_played(tmp_path: Path) -> None:
    code = (
        "import resource, sys, numpy as np, pathlib\n"
        "from trueup.loop.mapped import ScratchFull, mapped_array\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))\n"
        "try:\n    mapped_array(pathlib.Path(sys.argv[1]), 1_000_000, np.float64)\n"
        "except ScratchFull as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "has no room for 8 MB" in said.stdout
