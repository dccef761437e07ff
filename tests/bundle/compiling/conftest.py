"""Fits in these tests take one thread: OpenMP's idle threads spin, and tests run side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Hold OpenMP at one thread."""
    with threadpool_limits(limits=1):
        yield
