"""The filter of system calls on both machines by a model of the kernel's, and on this one by every call there is."""

from __future__ import annotations

import ctypes
import platform
import signal
import subprocess
import sys
from errno import ENOSYS, EPERM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.decode.syscall_filter import ALLOW, ERRNO, KILL_PROCESS, allowed_calls, filter_program

PID = 4711
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
REFUSED = ERRNO | EPERM
THREAD = 0x3D0F00
SIGCHLD = 17
NUMBERS = st.integers(0, 2**30 - 1) | st.integers(0, 500)
ARGUMENTS = st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6)

machines = pytest.mark.parametrize("machine", ARCHITECTURES)
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="numbers of x86-64")


def decide(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Return what the kernel's interpreter of classic BPF makes of a system call."""
    padded = (*arguments, *[0] * 6)[:6]
    words = {0: number, 4: ARCHITECTURES[machine] if architecture is None else architecture}
    words |= {16 + 8 * index: value & 0xFFFFFFFF for index, value in enumerate(padded)}
    program, value, at = filter_program(machine, PID), 0, 0
    while True:
        operation, if_true, if_false, operand = program[at]
        at += 1
        if operation == 0x20:
            value = words[operand]
        elif operation == 0x44:
            value |= operand
        elif operation == 0x06:
            return operand
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[operation]
            at += if_true if holds else if_false


@machines
def test_the_numbers_are_those_of_the_kernel(machine: str) -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp is not installed")
    resolve = library.seccomp_syscall_resolve_name_arch
    for name, number in allowed_calls(machine).items():
        assert (name, resolve(ctypes.c_uint32(ARCHITECTURES[machine]), name.encode())) == (name, number)


@machines
@given(number=NUMBERS, arguments=ARGUMENTS)
def test_what_is_not_listed_is_refused_whatever_its_arguments(machine: str, number: int, arguments: list[int]) -> None:
    if number == 435:
        assert decide(machine, number, *arguments) == ERRNO | ENOSYS
    elif number not in allowed_calls(machine).values():
        assert decide(machine, number, *arguments) == REFUSED


@machines
@given(number=st.integers(0, 2**32 - 1), architecture=st.integers(0, 2**32 - 1))
def test_another_architecture_ends_the_process(machine: str, number: int, architecture: int) -> None:
    if architecture != ARCHITECTURES[machine]:
        assert decide(machine, number, architecture=architecture) == KILL_PROCESS
    assert decide(machine, 0x4000_0000 | number) == KILL_PROCESS


@machines
@pytest.mark.parametrize(
    ("name", "arguments", "decision"),
    [
        ("read", (3, 0, 1), ALLOW),
        ("clone", (THREAD,), ALLOW),
        ("clone", (THREAD | 0x400000,), ALLOW),
        ("clone", (SIGCHLD,), REFUSED),
        ("clone", (THREAD | 0x10000000,), REFUSED),  # a user namespace
        ("clone", (THREAD & ~0x10000,), REFUSED),  # a process
        ("tgkill", (PID, PID, 6), ALLOW),
        ("tgkill", (PID - 1, PID - 1, 0), REFUSED),
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 7, 0x22), REFUSED),
        ("mmap", (0, 4096, 3, 0x21), REFUSED),  # shared
        ("mprotect", (0, 4096, 3), ALLOW),
        ("mprotect", (0, 4096, 5), REFUSED),
        ("madvise", (0, 4096, 4), ALLOW),
        ("madvise", (0, 4096, 100), REFUSED),
    ],
)
def test_some_are_allowed_by_their_arguments(
    machine: str, name: str, arguments: tuple[int, ...], decision: int
) -> None:
    assert decide(machine, allowed_calls(machine)[name], *arguments) == decision


EVERY_CALL = """
import ctypes
from sightstream.pipeline.decode.syscall_filter import allowed_calls, install_filter
libc = ctypes.CDLL(None, use_errno=True)
assert install_filter() == ""
probes = {335, 336}  # for breakpoints of the kernel's own, which no filter sees; they end any other caller
for number in set(range(480)) - probes - set(allowed_calls("x86_64").values()):
    assert libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1, number
    assert ctypes.get_errno() == (38 if number == 435 else 1), (number, ctypes.get_errno())
"""
FOREIGN_CALL = """
import ctypes
from sightstream.pipeline.decode.syscall_filter import install_filter
libc = ctypes.CDLL(None, use_errno=True)
install_filter()
libc.syscall(0x40000000 + 39)
"""
IN_ITS_THREADS = """
import os, socket, threading
from sightstream.pipeline.decode.syscall_filter import install_filter
start, failed = threading.Event(), []
def attempt():
    start.wait()
    try:
        socket.socket()
    except PermissionError:
        failed.append(True)
thread = threading.Thread(target=attempt)
thread.start()
install_filter()
start.set()
thread.join()
assert failed
os.abort()
"""


def run(code: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)


@on_x86
def test_the_kernel_refuses_every_call_that_is_not_listed() -> None:
    ended = run(EVERY_CALL)
    assert (ended.returncode, ended.stderr) == (0, b"")


@on_x86
def test_the_kernel_ends_a_process_that_uses_another_table_of_calls() -> None:
    assert run(FOREIGN_CALL).returncode == -signal.SIGSYS


@on_x86
def test_it_covers_threads_that_run_already_and_abort_still_ends_the_process() -> None:
    assert run(IN_ITS_THREADS).returncode == -signal.SIGABRT
