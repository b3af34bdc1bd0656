"""What code can do that a file made the decode child run: as root, and as an ordinary user like the worker's."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

import pytest

from sightstream.infra.lab.fuzz.corpus import encoded, sample_image
from sightstream.pipeline.decode import process
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.shared_memory_pool import SLACK_BYTES
from sightstream.schemas.wire.dead_letter import Reason
from tests.consumers.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="numbers of x86-64"),
]

# The decode process itself, its sandbox included; but instead of decoding an image it tries each attack on its parent,
# whose memory at `address` is 8 bytes, and rejects the image with the names of those that succeed.
CHILD = """
import ctypes, os, sys
from sightstream.pipeline.decode import child, sandbox
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

libc, parent = ctypes.CDLL(None, use_errno=True), os.getppid()
pipe, inbox, memory = map(int, sys.argv[1:4])
size, own, address = os.fstat(memory).st_size, ctypes.create_string_buffer(8), {address}
longs = lambda *values: (ctypes.c_ulong * len(values))(*values)
local, remote = longs(ctypes.addressof(own), 8), longs(address, 8)

def call(number, *arguments):
    return libc.syscall(*[each if isinstance(each, (bytes, ctypes.Array)) else ctypes.c_ulong(each)
                          for each in (number, *arguments)])

def start(number, *arguments):
    pid = call(number, *arguments)
    if pid == 0:
        os._exit(0)
    return pid

ATTACKS = dict(
    process_vm_readv=lambda: call(310, parent, local, 1, remote, 1, 0),
    process_vm_writev=lambda: call(311, parent, local, 1, remote, 1, 0),
    ptrace=lambda: call(101, 0x4206, parent, 0, 0),
    kill=lambda: call(62, parent, 0),
    tgkill=lambda: call(234, parent, parent, 0),
    pidfd_open=lambda: call(434, parent, 0),
    fork=lambda: start(57),
    clone=lambda: start(56, 17, 0, 0, 0, 0),
    clone3=lambda: start(435, longs(*[0] * 4, 17, *[0] * 6), 88),
    unshare=lambda: call(272, 0x400),
    execve=lambda: call(59, b"/bin/true", 0, 0),
    socket=lambda: call(41, 1, 1, 0),
    open=lambda: call(2, b"/dev/null", 0),
    openat=lambda: call(257, ctypes.c_ulong(-100 & 2**64 - 1).value, b"/dev/null", 0, 0),
    prlimit=lambda: call(302, 0, 7, longs(9, 9), 0),
    memfd=lambda: call(319, b"more", 0),
    shmget=lambda: call(29, 0, 2**30, 0o1600),
    map_shared=lambda: call(9, 0, 2**20, 3, 0x21, 2**64 - 1, 0) + 1 and 0 or -1,
    run_data=lambda: call(9, 0, 2**20, 7, 0x22, 2**64 - 1, 0) + 1 and 0 or -1,
    write_inbox=lambda: call(1, inbox, own, 8),
    grow_inbox=lambda: call(285, inbox, 0, 0, 2**30),
    truncate_inbox=lambda: call(77, inbox, 2**30),
    grow_memory=lambda: call(285, memory, 0, size, 2**30),
    truncate_memory=lambda: call(77, memory, size + 2**30),
)

def attack(*_):
    succeeded = " ".join(name for name, attempt in ATTACKS.items() if attempt() != -1)
    raise Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "ATTACKS " + succeeded)

child.decode_image = attack
if not {filtered}:
    sandbox.install_filter = lambda: "none in this test"
    del ATTACKS["execve"]  # it would end the attacker
child.main(pipe, inbox, memory, Limits.from_json(sys.argv[4]))
"""

PARENT = """
import ctypes, sys
from sightstream.pipeline.decode import process
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.untraceable import forbid_tracing
code, filtered, untraceable = sys.argv[1], sys.argv[2] == "filtered", sys.argv[3] == "untraceable"
secret = ctypes.create_string_buffer(b"secrets")
code = code.replace("{address}", str(ctypes.addressof(secret))).replace("{filtered}", str(filtered))
process.child_command = lambda: [sys.executable, "-c", code]
decoder = Decoder(DecodeSettings(processes=1))
if untraceable:
    forbid_tracing()
try:
    decoder.decode(b"file")
except Exception as error:
    print("REJECTED", error)
decoder.stop()
"""

# The Python of these tests may stand in root's home, so the user keeps the right to read all files.
NOBODY = [
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
]  # fmt: skip
as_nobody = pytest.param(NOBODY if os.getuid() == 0 else [], id="user")
users = pytest.mark.parametrize(
    "user", [pytest.param([], id="root", marks=pytest.mark.skipif(os.getuid() != 0, reason="needs root")), as_nobody]
)


def succeeded(user: list[str], filtered: str, untraceable: str = "") -> set[str]:
    if user and not shutil.which(user[0]):
        pytest.skip("needs setpriv of util-linux")
    command = [*user, sys.executable, "-c", PARENT, CHILD, filtered, untraceable]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("REJECTED"), ended.stderr
    return set(ended.stdout.rpartition("ATTACKS")[2].split())


@users
def test_no_attack_succeeds(user: list[str]) -> None:
    assert succeeded(user, "filtered", "untraceable") == set()


@users
def test_without_the_filter_the_attacks_are_real(user: list[str]) -> None:
    found = succeeded(user, "unfiltered")
    assert found >= {"process_vm_readv", "process_vm_writev", "ptrace", "kill", "tgkill", "fork", "clone", "clone3"}
    assert not found & {"write_inbox", "grow_inbox", "truncate_inbox", "grow_memory", "truncate_memory"}


@pytest.mark.parametrize("user", [as_nobody])
def test_without_the_filter_a_user_still_cant_reach_a_process_that_forbids_to_be_traced(user: list[str]) -> None:
    found = succeeded(user, "unfiltered", "untraceable")
    assert not found & {"process_vm_readv", "process_vm_writev", "ptrace"}


# Decodes all files but one, for which it uses the memory of blocks that are not its own.
GREEDY_CHILD = """
import os, sys, time
from sightstream.pipeline.decode import child
from sightstream.pipeline.decode.limits import Limits

decode_image = child.decode_image

def decode(data, limits, allocate):
    if data != b"take it all":
        return decode_image(data, limits, allocate)
    slot = allocate.__self__
    for offset in range(0, 2**28, 2**20):
        {attack}
    time.sleep(600)

child.decode_image = decode
child.main(*map(int, sys.argv[1:4]), Limits.from_json(sys.argv[4]))
"""


@pytest.mark.parametrize(
    "attack",
    ["slot._mapping[offset : offset + 2**20] = bytes(2**20)", "os.posix_fallocate(slot._memory, offset, 2**20)"],
    ids=["by writing", "by reserving"],
)
def test_a_child_that_takes_the_memory_of_others_is_ended_and_the_memory_freed(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "child_command", lambda: [sys.executable, "-c", GREEDY_CHILD.format(attack=attack)])
    decoder = Decoder(DecodeSettings(processes=2, max_pixels=10**6, timeout_s=20))
    try:
        with pytest.raises(Rejected) as caught:
            decoder.decode(b"take it all")
        assert caught.value.reason is Reason.DECODE_CRASH
        wait_for(lambda: decoder.memory.resident_bytes < SLACK_BYTES)
        assert decoder.decode(encoded(sample_image(), "PNG")).format == "PNG"
    finally:
        decoder.stop()
