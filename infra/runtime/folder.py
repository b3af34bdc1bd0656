"""Manages the folder of a local runtime: its data, logs and identity, and the locks that show who owns it.

The owning process holds `owner.lock`, which contains its process id. Every process started from the folder holds
`children.lock`, so that it is free only when all of them have ended. The kernel releases both when a process dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sightstream.consumers.private_files import NotPrivate, make_private_folder, open_private, write_private
from sightstream.infra.runtime.errors import FolderInUseError, RuntimeFailedError
from sightstream.infra.runtime.ports import all_free, choose_ports

LEFTOVERS_TIMEOUT_S = 20.0
REFUSAL_S = 0.5  # a process that only checks whether a lock is held holds it for a moment
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Identity:
    """The ports and keys that a runtime keeps when it is started again on its folder."""

    ports: dict[str, int]
    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True, slots=True)
class RuntimeFolder:
    """A runtime's folder: its paths and its ownership."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The settings file for every other command; it exists only while the runtime is ready."""
        return self.path / "runtime.toml"

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def data(self, name: str) -> Path:
        return self.path / name

    def create(self) -> None:
        """Create what is missing, for this user alone. Raises RuntimeFailedError."""
        try:
            for each in (self.path, self.path / "logs", self.data("kafka"), self.data("s3")):
                make_private_folder(each)
        except NotPrivate as error:
            raise RuntimeFailedError(f"{error}; give another --dir") from None

    def owner_pid(self) -> int | None:
        """Return the id of the process that owns the folder now, None if nobody does."""
        return self._recorded_owner() if _is_locked(self._owner_lock) else None

    def is_ready(self, pid: int) -> bool:
        """Return True once the runtime of this (living) process has written its settings file."""
        return self._recorded_owner() == pid and self.config_file.exists()

    def is_free(self) -> bool:
        """Return True when neither an owner nor any process that it started is alive."""
        return not _is_locked(self._owner_lock) and not _is_locked(self._children_lock)

    def _recorded_owner(self) -> int | None:
        text = self._owner_lock.read_text() if self._owner_lock.exists() else ""
        return int(text) if text else None

    def own(self) -> Ownership:
        """Acquire the folder, waiting a while for processes of a killed owner to end.

        Raises FolderInUseError if a live runtime owns it.
        """
        self.create()
        if (owner := _lock_within(self._owner_lock, REFUSAL_S)) is None:
            raise FolderInUseError(
                f"{self.path} is in use by a running runtime (process {self.owner_pid()}): stop it with "
                f"`sightstream down --dir {self.path}`, or give another --dir"
            )
        self.config_file.unlink(missing_ok=True)  # before the process id is written: `up --detach` reads both
        os.truncate(owner, 0)
        os.pwrite(owner, str(os.getpid()).encode(), 0)
        if (children := _lock_within(self._children_lock, LEFTOVERS_TIMEOUT_S)) is None:
            os.close(owner)
            raise RuntimeFailedError(f"processes of an earlier runtime still use {self.path}: end them first")
        return Ownership(owner, children)

    @property
    def _owner_lock(self) -> Path:
        return self.path / "owner.lock"

    @property
    def _children_lock(self) -> Path:
        return self.path / "children.lock"

    def identity(self) -> Identity:
        """Return the ports and keys of the last run if its ports are free, else new ports with the same keys."""
        file = self.path / "identity.json"
        known = Identity(**json.loads(file.read_text())) if file.exists() else None
        if known and all_free(known.ports.values()):
            return known
        identity = Identity(
            ports=choose_ports(),
            access_key_id=known.access_key_id if known else secrets.token_hex(10),
            secret_access_key=known.secret_access_key if known else secrets.token_urlsafe(30),
        )
        write_private(file, json.dumps(asdict(identity), indent=2))
        return identity


@dataclass(frozen=True, slots=True)
class Ownership:
    """The two held locks; every child inherits the descriptor `children_lock`."""

    owner_lock: int
    children_lock: int

    def release(self) -> None:
        os.close(self.owner_lock)
        os.close(self.children_lock)


def _lock_within(path: Path, timeout_s: float) -> int | None:
    """Return the held lock's descriptor, None if another process keeps it for that long."""
    deadline = time.monotonic() + timeout_s
    while (lock := _try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return lock


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    if (lock := _try_lock(path)) is None:
        return True
    os.close(lock)
    return False


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = open_private(path, os.O_RDWR)
    except NotPrivate as error:
        raise RuntimeFailedError(f"{error}; remove it, or give another --dir") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
