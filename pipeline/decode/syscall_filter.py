"""A filter of system calls (seccomp) that leaves a decode process what computing needs, and nothing of other processes.

The filter is a list of what is allowed. It is written here, since libseccomp is not on every machine, and a process
without the filter would look like one with it. Linux on x86-64 and on arm64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import ENOSYS, EPERM

# Those without conditions.
_FREE = {
    "x86_64": {
        "read": 0, "write": 1, "pread64": 17, "setitimer": 38, "futex": 202, "brk": 12, "munmap": 11, "mremap": 25,
        "fallocate": 285, "rt_sigreturn": 15, "rt_sigaction": 13, "rt_sigprocmask": 14, "sigaltstack": 131,
        "getpid": 39, "getcwd": 79, "gettid": 186, "sched_yield": 24, "sched_getaffinity": 204, "set_robust_list": 273,
        "rseq": 334, "restart_syscall": 219, "clock_gettime": 228, "gettimeofday": 96, "time": 201, "nanosleep": 35,
        "clock_nanosleep": 230, "getrandom": 318, "exit": 60, "exit_group": 231,
    },
    "aarch64": {
        "read": 63, "write": 64, "pread64": 67, "setitimer": 103, "futex": 98, "brk": 214, "munmap": 215, "mremap": 216,
        "fallocate": 47, "rt_sigreturn": 139, "rt_sigaction": 134, "rt_sigprocmask": 135, "sigaltstack": 132,
        "getpid": 172, "getcwd": 17, "gettid": 178, "sched_yield": 124, "sched_getaffinity": 123, "set_robust_list": 99,
        "rseq": 293, "restart_syscall": 128, "clock_gettime": 113, "gettimeofday": 169, "nanosleep": 101,
        "clock_nanosleep": 115, "getrandom": 278, "exit": 93, "exit_group": 94,
    },
}  # fmt: skip
_CONDITIONAL = {
    "x86_64": {"mmap": 9, "mprotect": 10, "madvise": 28, "clone": 56, "tgkill": 234},
    "aarch64": {"mmap": 222, "mprotect": 226, "madvise": 233, "clone": 220, "tgkill": 131},
}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_X32_BIT = 0x4000_0000  # numbers of the x32 ABI, which x86-64 kernels serve under the same architecture

_CLONE3 = 435  # on both
_PROT_EXEC, _MAP_SHARED = 4, 1
_MADV_HWPOISON = 100  # from here on advice takes memory from the machine; root may give it
_THREAD_FLAGS = 0x3D0F00  # glibc's clone flags of a thread: everything is shared, nothing is new
_CLONE_DETACHED = 0x400000  # without effect; musl sets it

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _OR, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x44, 0x06  # operations of classic BPF
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_PR_SET_NO_NEW_PRIVS, _SET_MODE_FILTER, _TSYNC = 38, 1, 1


@dataclass(slots=True)
class _Program:
    """BPF instructions: (operation, jump if true, jump if false, operand); jumps count the instructions to skip."""

    code: list[tuple[int, int, int, int]] = field(default_factory=list)

    def add(self, operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> None:
        self.code.append((operation, if_true, if_false, operand))

    def allow(self, number: int) -> None:
        self.add(_EQUAL, number, 0, 1)
        self.add(_RETURN, ALLOW)

    def require(self, number: int, argument: int, *tests: tuple[int, int], result: bool) -> None:
        """Refuse a system call unless the last test of the lower half of this argument has this result."""
        self.add(_EQUAL, number, 0, len(tests) + 3)
        self.add(_LOAD, _ARGUMENTS + 8 * argument)
        for operation, operand in tests[:-1]:
            self.add(operation, operand)
        self.add(*tests[-1], if_true=result, if_false=not result)
        self.add(_RETURN, ERRNO | EPERM)
        self.add(_LOAD, _NUMBER)


def filter_program(machine: str, pid: int) -> list[tuple[int, int, int, int]]:
    """Return the filter of the process `pid` on a machine that `platform.machine` names so. Raises KeyError."""
    numbers, program = _CONDITIONAL[machine], _Program()
    program.add(_LOAD, _ARCHITECTURE)
    program.add(_EQUAL, _AUDIT_ARCH[machine], 1, 0)
    program.add(_RETURN, KILL_PROCESS)
    program.add(_LOAD, _NUMBER)
    program.add(_AT_LEAST, _X32_BIT, 0, 1)
    program.add(_RETURN, KILL_PROCESS)
    for number in _FREE[machine].values():
        program.allow(number)
    program.require(numbers["mmap"], 3, (_ANY_BIT, _MAP_SHARED), result=False)
    for name in ("mmap", "mprotect"):
        program.require(numbers[name], 2, (_ANY_BIT, _PROT_EXEC), result=False)
    program.require(numbers["madvise"], 2, (_AT_LEAST, _MADV_HWPOISON), result=False)
    thread = (_OR, _CLONE_DETACHED), (_EQUAL, _THREAD_FLAGS | _CLONE_DETACHED)
    program.require(numbers["clone"], 0, *thread, result=True)  # the HEIC decoder starts a thread
    program.require(numbers["tgkill"], 0, (_EQUAL, pid), result=True)  # abort() signals its own thread
    for number in numbers.values():
        program.allow(number)
    program.add(_EQUAL, _CLONE3, 0, 1)
    program.add(_RETURN, ERRNO | ENOSYS)  # its flags are out of a filter's reach; the C library falls back to clone
    program.add(_RETURN, ERRNO | EPERM)
    return program.code


def allowed_calls(machine: str) -> dict[str, int]:
    """Return the numbers of the system calls that the filter allows, with or without conditions, by their names."""
    return _FREE[machine] | _CONDITIONAL[machine]


def install_filter() -> str:
    """Put every thread of this process, and what it starts, under the filter for good. Return why not, or "".

    It can gain no privileges by a program that it executes, either.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _AUDIT_ARCH:
        return f"there is none for {sys.platform} on {machine}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *_longs(1, 0, 0, 0)):
        return f"no_new_privs: {os.strerror(ctypes.get_errno())}"
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in filter_program(machine, os.getpid()))
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(instructions))
    refused = libc.syscall(*_longs(_SECCOMP[machine], _SET_MODE_FILTER, _TSYNC), program)
    return f"seccomp: {os.strerror(ctypes.get_errno())}" if refused else ""


def _longs(*values: int) -> Iterator[ctypes.c_ulong]:
    return map(ctypes.c_ulong, values)
