"""What can the process that holds a model still do? No writes, no programs, no network, bounded memory and time.

Applied by the process to itself, before the model is opened, and never undone. Layers, each reported: no capabilities
and no new privileges; Landlock (https://docs.kernel.org/userspace-api/landlock.html) by ctypes; a filter of system
calls (`seccomp`); an own network namespace; limits. It can still read what its account can read, and answer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from trueup.bundle.errors import NoSandbox
from trueup.bundle.seccomp import refuse_calls

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_SET_NO_NEW_PRIVS = 38
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_CAPABILITY_VERSION, _DAC_READ_SEARCH = 0x20080522, 2
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Write, remove and make: the first version's rights without reading and executing."""
_TCP = 3
_SCOPES = 3
"""Abstract sockets and signals to processes outside."""
_ABSENT = (errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Limits:
    """What one model may use."""

    memory_bytes: int | None = None
    """Private memory of the process; None: three quarters of the machine's."""
    cpu_seconds: int = 3600
    """Processor time of one request, in seconds; the process ends itself."""
    seconds: float = 7200.0
    """Time of one request by the clock, waiting included; the caller ends the process."""


@dataclass(frozen=True)
class SandboxLevel:
    """Which layers hold."""

    no_new_privileges: bool
    landlock: int
    """Version of the kernel's Landlock; 0 where the kernel has none."""
    tcp_refused: bool
    network_namespace: bool
    calls_refused: bool
    """Whether new sockets and processes are refused by a filter of system calls."""
    memory_bytes: int

    @property
    def holds(self) -> bool:
        """Return whether a file of strangers may be opened: no writes, no programs, no network."""
        return self.no_new_privileges and self.landlock > 0 and (self.calls_refused or self.network_namespace)

    def __str__(self) -> str:
        files = f"no writes and no programs (Landlock {self.landlock})" if self.landlock else "files are not protected"
        closed = self.network_namespace or self.calls_refused
        network = "no network" if closed else "no TCP" if self.tcp_refused else "network is open"
        processes = "no new processes" if self.calls_refused else "new processes are possible"
        return f"{files}; {network}; {processes}; at most {self.memory_bytes // 2**20} MB of memory"

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Return the level from the facts that `asdict` gave."""
        return cls(**facts)

    def facts(self) -> dict[str, Any]:
        """Return the level as plain values."""
        return asdict(self)


def enter_sandbox(*, scratch: Path, limits: Limits) -> SandboxLevel:
    """Confine the calling process for good and return what holds. Call it while there is one thread.

    Parameters
    ----------
    scratch : Path
        The one folder that can still be written.
    limits : Limits
        Memory; processor time is set for each request by `allow_cpu_time`.

    Raises
    ------
    NoSandbox
        The kernel has Landlock, but it cannot be applied here, or another thread would go unconfined. Where the kernel
        has none, the level says so.
    """
    memory = limits.memory_bytes or _three_quarters_of_memory()
    if not sys.platform.startswith("linux"):
        return SandboxLevel(False, 0, False, False, False, _limit_memory(memory))
    _refuse_company()
    libc = ctypes.CDLL(None, use_errno=True)
    private = _leave_network(libc)
    memory = _limit_memory(memory)
    _drop_capabilities(libc)
    if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _failed("no_new_privs")
    version = _landlock_version(libc)
    if version:
        _restrict(libc, version, scratch)
    return SandboxLevel(True, version, version >= 4, private, refuse_calls(libc), memory)


def refuse_strangers(level: SandboxLevel) -> None:
    """Refuse to open what strangers made where the process could not confine itself.

    Raises
    ------
    NoSandbox
        Says what holds and what is needed.
    """
    if not level.holds:
        raise NoSandbox(
            f"the model is not opened: it is not signed by a key that is trusted here, and this machine cannot confine "
            f"the process that would open it ({level}); use a Linux kernel of 5.13 or newer with Landlock",
            level=str(level),
        )


def allow_cpu_time(seconds: int) -> None:
    """Let this process use `seconds` more of processor time; past them the kernel ends it (SIGXCPU)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _refuse_company() -> None:
    """Raise where a second thread runs: the kernel confines the calling one and those it starts later."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise NoSandbox(
            f"no model is opened: a library started {threads - 1} threads before the process was confined, which "
            "would stay free; say which library it is when you report this",
            threads=threads,
        )


def _limit_memory(size: int) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    size = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    return size


def _three_quarters_of_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Move to a network namespace without any connection, where that is allowed."""
    # alone first: an administrator keeps the right to read the files of others
    return bool(libc.unshare(_NEW_NETWORK) == 0 or libc.unshare(_NEW_USER | _NEW_NETWORK) == 0)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Keep an administrator's right to read files only: no limit can be raised again, nobody else's process touched."""
    kept = 1 << _DAC_READ_SEARCH if os.geteuid() == 0 else 0
    head = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    libc.capset(head, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def _landlock_version(libc: ctypes.CDLL) -> int:
    version = int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG)))
    if version >= 0:
        return version
    if ctypes.get_errno() in _ABSENT:
        return 0
    raise _failed("Landlock")


def _restrict(libc: ctypes.CDLL, version: int, scratch: Path) -> None:
    changes = _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=QQQ", changes | _EXECUTE, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    attributes = attributes[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        raise _failed("Landlock")
    try:
        _allow_beneath(libc, ruleset, scratch, changes)
        _allow_beneath(libc, ruleset, Path(os.devnull), _WRITE_FILE)
        if libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) != 0:
            raise _failed("Landlock")
    finally:
        os.close(ruleset)


def _allow_beneath(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, place)
        if libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), _RULE_PATH_BENEATH, rule, ctypes.c_uint32(0)) != 0:
            raise _failed("Landlock")
    finally:
        os.close(place)


def _failed(layer: str) -> NoSandbox:
    reason = os.strerror(ctypes.get_errno())
    return NoSandbox(
        f"no model is opened: this kernel has {layer}, but it cannot be applied here ({reason}); let the container's "
        "seccomp profile allow prctl and landlock_*",
        layer=layer,
    )
