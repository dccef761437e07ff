"""Where is the C library of a package, opened without importing the package and all it imports?"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path

from trueup.bundle.errors import LibraryMissing

_SUFFIXES = (".so", ".dylib", ".dll")


@cache
def open_library(package: str, *, stem: str, install: str) -> ctypes.CDLL:
    """Return a package's C library, opened once in a process.

    Parameters
    ----------
    package : str
        The Python package that carries it, such as ``lightgbm``; it is found, not imported.
    stem : str
        The library's file name without its ending.
    install : str
        What to install where it is missing.

    Raises
    ------
    LibraryMissing
        When the package is not installed, carries no such file, or the system cannot open it.
    """
    for file in _candidates(package, stem):
        try:
            return ctypes.CDLL(str(file))
        except OSError as error:
            raise LibraryMissing(
                f"this bundle is served with the C library of {package}, which this system cannot open: {error}; "
                "its OpenMP runtime is often the part that is missing (libgomp1 on Debian, libomp on macOS)",
                library=package,
            ) from error
    raise LibraryMissing(
        f"this bundle is served with the C library of {package}, which is not installed here; install {install}, or "
        "open the bundle with its original model",
        library=package,
    )


def _candidates(package: str, stem: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    roots = (spec.submodule_search_locations if spec else None) or []
    return [
        file
        for root in roots
        for folder in ("lib", "bin", ".")
        for suffix in _SUFFIXES
        if (file := Path(root) / folder / f"{stem}{suffix}").is_file()
    ]
