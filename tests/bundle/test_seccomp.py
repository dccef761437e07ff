"""The filter of system calls is read instruction by instruction, as the kernel reads it."""

from __future__ import annotations

import errno
import struct

import pytest

from trueup.bundle.seccomp import filter_program

ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
X86, ARM = 0xC000003E, 0xC00000B7


def verdict(machine: str, *, number: int, architecture: int, argument: int = 0) -> int:
    """Return what the program answers, by the rules of classic BPF (man 2 seccomp)."""
    program = filter_program(machine)
    assert program is not None
    lines = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=IIQQ", number, architecture, 0, argument)
    place, value = 0, 0
    while True:
        code, if_true, if_false, k = lines[place]
        place += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            [value] = struct.unpack_from("=I", data, k)
        else:
            place += if_true if (value == k if code == 0x15 else value & k) else if_false


@pytest.mark.parametrize(
    ("machine", "architecture", "numbers"),
    [
        ("x86_64", X86, {"socket": 41, "connect": 42, "fork": 57, "vfork": 58, "execve": 59, "ptrace": 101}),
        ("aarch64", ARM, {"socket": 198, "connect": 203, "execve": 221, "ptrace": 117}),
    ],
)
def test_sockets_programs_and_processes_are_refused(machine: str, architecture: int, numbers: dict[str, int]) -> None:
    for name, number in numbers.items():
        assert verdict(machine, number=number, architecture=architecture) == FAIL, name
    for number in (0, 1, 3, 9, 231):
        assert verdict(machine, number=number, architecture=architecture) == ALLOW


@pytest.mark.parametrize(("machine", "architecture", "clone"), [("x86_64", X86, 56), ("aarch64", ARM, 220)])
def test_a_thread_may_be_made_a_process_may_not(machine: str, architecture: int, clone: int) -> None:
    program = {"machine": machine, "number": clone, "architecture": architecture}
    of_a_thread, of_a_process = 0x003D0F00, 0x01200011

    # the first argument of the call lies 16 bytes into the data
    assert _with_flags(program, of_a_thread) == ALLOW
    assert _with_flags(program, of_a_process) == FAIL


def _with_flags(program: dict[str, object], flags: int) -> int:
    return verdict(
        str(program["machine"]),
        number=int(str(program["number"])),
        architecture=int(str(program["architecture"])),
        argument=flags,
    )


def test_clone3_is_absent_so_that_the_c_library_falls_back() -> None:
    assert verdict("x86_64", number=435, architecture=X86) == 0x00050000 | errno.ENOSYS


def test_calls_by_another_processors_numbers_end_the_process() -> None:
    assert verdict("x86_64", number=1, architecture=0x40000003) == KILL
    assert verdict("x86_64", number=41 | 0x40000000, architecture=X86) == FAIL


def test_an_unknown_processor_has_no_filter() -> None:
    assert filter_program("riscv64") is None
