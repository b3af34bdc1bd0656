"""The areas that are looked at, from the settings, for some roles."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from confluent_kafka.admin import AdminClient
from pydantic_settings import BaseSettings

from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.store.settings import StoreSettings
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.doctor import (
    acl_check,
    broker_check,
    broker_connection,
    cache_check,
    clock_check,
    database_check,
    disk_check,
    gpu_check,
    image_check,
    model_check,
    object_store_check,
    settings_check,
    topic_check,
)
from sightstream.infra.doctor.report import Area
from sightstream.infra.doctor.roles import Names, Role, grants
from sightstream.infra.doctor.types import Finding, Items, Unchecked
from sightstream.infra.settings import SECTIONS, load, problems
from sightstream.infra.shown_settings import settings_of
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE
from sightstream.schemas.wire.topics import TopicSettings

Settings = TypeVar("Settings", bound=BaseSettings)

AREAS = (
    "settings", "broker", "topics", "permissions", "clock", "s3", "cache", "disk", "database", "model", "gpu", "image"
)  # fmt: skip
_KAFKA = {"broker", "topics", "permissions", "clock"}
_WORKER = {"s3", "cache", "model", "gpu", "image"}


@dataclass(frozen=True, slots=True)
class Options:
    """What to look at. `image` and `weights_sha256` are described at the command's options."""

    roles: frozenset[Role] = frozenset(Role)
    skipped: frozenset[str] = frozenset()
    image: str | None = None
    weights_sha256: str | None = None
    checkpoint: Path | None = None
    clock: Callable[[], float] = field(default=time.time)


def areas(options: Options) -> list[Area]:
    """Return what to look at, in an order in which the first finding explains those behind it."""
    if wrong := problems():
        return [Area("settings", lambda: (Finding("settings-wrong", text) for text in wrong))]
    doctor = _Doctor(options)
    checks: Mapping[str, Callable[[], Items]] = {
        "settings": doctor.settings,
        "broker": doctor.broker,
        "topics": doctor.topics,
        "permissions": doctor.permissions,
        "clock": doctor.clock,
        "s3": lambda: object_store_check.check_object_store(load(S3Settings), clock=options.clock),
        "cache": lambda: cache_check.check_cache(load(CacheSettings)),
        "disk": lambda: disk_check.check_disks(_folders(options.roles)),
        "database": doctor.database,
        "model": lambda: model_check.check_model(doctor.engine, options.weights_sha256),
        "gpu": lambda: gpu_check.check_gpu(doctor.engine),
        "image": lambda: image_check.check_image(options.image, options.checkpoint),
    }
    return [
        Area(name, checks[name]) for name in AREAS if name not in options.skipped and _concerns(name, options.roles)
    ]


def _concerns(area: str, roles: frozenset[Role]) -> bool:
    if area in _WORKER:
        return Role.WORKER in roles
    return area != "database" or Role.STORE in roles


def _folders(roles: frozenset[Role]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    if Role.WORKER in roles:
        found["[worker] state_dir"] = load(WorkerSettings).state_dir or Path(tempfile.gettempdir())
    if Role.STORE in roles:
        found["[store] path"] = load(StoreSettings).path.parent
    return found


class _Doctor:
    """Keeps the one connection to the broker; each area asks it whether there is one."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._kafka, self._topics = load(KafkaSettings), load(TopicSettings)
        self._worker, self._store = load(WorkerSettings), load(StoreSettings)
        checkpoint = {} if options.checkpoint is None else {"checkpoint": options.checkpoint}
        self.engine = load(EngineSettings).model_copy(update=checkpoint)
        self._reached: AdminClient | Finding | None = None

    def settings(self) -> Items:
        file = os.environ.get(CONFIG_VARIABLE)
        sections = {name: settings_of(name) for name in SECTIONS}
        yield from settings_check.check_sections(Path(file) if file else None, sections)
        yield from settings_check.check_kafka_settings(self._kafka)
        groups = {
            "worker": self._worker.group_id,
            "store": self._store.group_id,
            "lookup": load(LookupSettings).group_id,
        }
        yield from settings_check.check_groups(groups)

    def broker(self) -> Items:
        admin = self._connection()
        if isinstance(admin, Finding):
            yield admin
            return
        publish = load(PublisherSettings)
        yield from broker_check.check_broker(admin, self._kafka, self._worker, self._store, publish)

    def topics(self) -> Items:
        admin = self._connection()
        if isinstance(admin, Finding):
            return _behind(admin)
        return topic_check.check_topics(admin, self._kafka, self._topics, self._worker, self._options.roles)

    def permissions(self) -> Items:
        admin = self._connection()
        if isinstance(admin, Finding):
            return _behind(admin)
        names = Names(self._topics, self._worker.group_id, self._store.group_id, load(LookupSettings).group_id)
        wanted = [grant for role in Role if role in self._options.roles for grant in grants(role, names)]
        return acl_check.check_permissions(admin, self._kafka, wanted)

    def clock(self) -> Items:
        admin = self._connection()
        if isinstance(admin, Finding):
            return _behind(admin)
        return clock_check.check_clock(self._kafka, self._options.clock)

    def database(self) -> Items:
        from sightstream.consumers.store.errors import StoreError
        from sightstream.consumers.store.run import topic_ids

        admin = self._connection()
        known: dict[str, str] = {}
        if isinstance(admin, AdminClient):
            try:
                known = topic_ids(admin, [self._topics.results, self._topics.dead_letters])
            except StoreError as error:
                yield Unchecked(f"whether the database belongs to these topics: {error}")
        yield from database_check.check_database(self._store.path, known)

    def _connection(self) -> AdminClient | Finding:
        if self._reached is None:
            self._reached = broker_connection.connect(self._kafka)
        return self._reached


def _behind(finding: Finding) -> Items:
    yield Unchecked(f"the broker can't be reached ({finding.id})")
