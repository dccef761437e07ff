"""How is something measured? In a fresh process: CPU seconds, children beside, and how far its memory rose."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Figure:
    """One line of build/bench.json."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    """What it is compared with, doing the same work on the same data in the same kind of process."""
    peer_value: float | None = None
    """The same figure of the peer."""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the documented object; `ratio` is value / peer_value."""
        ratio = self.value / self.peer_value if self.peer_value else None
        return {**asdict(self), "ratio": ratio}


@dataclass(frozen=True)
class Cost:
    """What a piece of work took."""

    cpu_seconds: float
    """Of the process, all threads."""
    child_cpu_seconds: float
    """Of processes it started that have ended."""
    wall_seconds: float
    memory_mb: float
    """How far resident memory rose above what it was before, at its peak, mapped files included."""
    mapped_mb: float
    """How much of that is mapped files, which the system may drop at any time; 0 where it does not say."""
    private_mb: float = 0.0
    """How far memory that no file holds rose, at its peak, looked at every 5 ms; 0 where the system does not say."""


def apart(function: Callable[Given, Answer], *args: Given.args, **kwargs: Given.kwargs) -> Answer:
    """Return what `function` returns when a fresh process runs it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def cost_of(work: Callable[[], Answer]) -> tuple[Cost, Answer]:
    """Do the work in this process, and say what it took."""
    gc.collect()
    before_mb, mapped = _restart_peak(), _mapped_mb()
    wall, cpu, children = time.perf_counter(), time.process_time(), _children_seconds()
    with _PrivatePeak() as private:
        answer = work()
    cost = Cost(
        cpu_seconds=time.process_time() - cpu,
        child_cpu_seconds=_children_seconds() - children,
        wall_seconds=time.perf_counter() - wall,
        memory_mb=_peak_mb() - before_mb,
        mapped_mb=_mapped_mb() - mapped,
        private_mb=private.rise_mb,
    )
    return cost, answer


class _PrivatePeak:
    """Watches, from a thread of its own, the memory that no file holds."""

    def __enter__(self) -> Self:
        self.rise_mb, self._before = 0.0, _private_mb()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.rise_mb = max(self.rise_mb, _private_mb() - self._before)


def best_cost(work: Callable[[], object], *, repeats: int) -> Cost:
    """Return the cost of the run that took the least CPU; memory is that of the first, before anything is warm."""
    costs = [cost_of(work)[0] for _ in range(repeats)]
    best = min(costs, key=lambda c: c.cpu_seconds)
    return replace(best, memory_mb=costs[0].memory_mb, mapped_mb=costs[0].mapped_mb)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _restart_peak() -> float:
    """Forget the peak so far, where the system can, and return the memory now, in MB."""
    if not _STATUS.exists():
        return _peak_mb()
    _RESET.write_text("5")
    return _status_mb("VmRSS:")


def _peak_mb() -> float:
    if _STATUS.exists():
        return _status_mb("VmHWM:")
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _mapped_mb() -> float:
    return _status_mb("RssFile:") if _STATUS.exists() else 0.0


def _private_mb() -> float:
    return _status_mb("RssAnon:") if _STATUS.exists() else 0.0


def _status_mb(key: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024 / 1e6
