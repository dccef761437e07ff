"""Which system calls does a confined process lose? New sockets, new processes, and reaching into other processes.

A seccomp filter in classic BPF (https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html). It needs no
rights and no namespaces, so it holds where a container forbids those, and it also closes UDP, which Landlock does not.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

_SET_SECCOMP, _FILTER = 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_THREAD = 0x00010000
_X32 = 0x40000000
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = {
    # socket, connect, bind, listen, fork, vfork, ptrace, kill, tkill, unshare, setns, mount, bpf, process_vm_readv,
    # process_vm_writev, execve, execveat, io_uring_setup, pidfd_open, pidfd_send_signal, perf_event_open, keyctl
    "x86_64": (41, 42, 49, 50, 57, 58, 101, 62, 200, 272, 308, 165, 321, 310, 311, 59, 322, 425, 434, 424, 298, 250),
    "aarch64": (198, 203, 200, 201, 117, 129, 130, 97, 268, 40, 280, 270, 271, 221, 281, 425, 434, 424, 241, 219),
}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435


def refuse_calls(libc: ctypes.CDLL) -> bool:
    """Take those calls from the calling process for good; False where this processor or kernel has no filter.

    The process must have set no_new_privs. Threads can still be made; a call that is refused fails with EPERM.
    """
    program = filter_program(platform.machine())
    if program is None:
        return False
    kept = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions, padding to a pointer, the pointer
    head = ctypes.create_string_buffer(struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(kept)))
    return bool(libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(head), 0, 0) == 0)


def filter_program(machine: str) -> bytes | None:
    """Return the instructions for a processor; None for one whose numbers of calls are not known here."""
    if machine not in _ARCHITECTURES:
        return None
    refuse = _FAIL | errno.EPERM
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),  # calls by the numbers of another processor
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_SET, 0, 1, _X32),
        (_RETURN, 0, 0, refuse),
    ]
    for number in _REFUSED[machine]:
        lines += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    # clone3 passes its flags by address, which a filter cannot read; without it the C library falls back to clone
    lines += [(_JUMP_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    lines += [
        (_JUMP_EQUAL, 0, 3, _CLONE[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_JUMP_SET, 1, 0, _THREAD),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
