"""Where do long arrays live while a strategy is played? In a nameless file: memory does not grow with history."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trueup.kernel.errors import TrueupError


class ScratchFull(TrueupError):
    """There is no room for the arrays of a rehearsal."""

    code = "loop.scratch-full"


def mapped_array(folder: Path, rows: int, dtype: DTypeLike) -> NDArray[np.generic]:
    """Return an array of zeros on disk; its file has no name and ends with the array, even when the process is killed.

    Raises
    ------
    ScratchFull
        When the disk has no room: the blocks are reserved first, so that a full disk is met here and not later.
    """
    size = max(1, rows * np.dtype(dtype).itemsize)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            file.truncate(size)
        except OSError as error:
            raise ScratchFull(
                f"{folder} has no room for {size / 1e6:,.3g} MB ({error.strerror}); free some space or rehearse a "
                "shorter period",
                folder=str(folder),
            ) from error
        return np.memmap(file, dtype=dtype, mode="r+", shape=(rows,)) if rows else np.zeros(0, dtype=dtype)
