"""The results database, opened for reading only: a store may be writing to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from sightstream.consumers.store.database import newest_schema
from sightstream.infra.doctor.types import Fact, Finding, Items


def check_database(path: Path, topic_ids: Mapping[str, str]) -> Items:
    """Look at a database that exists. `topic_ids` are Kafka's own, as far as they are known."""
    if not path.exists():
        yield Fact("database", f"{path} does not exist yet; the store creates it")
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            stored = dict(connection.execute("SELECT topic, topic_id FROM topics")) if version else {}
    except sqlite3.Error as error:
        yield Finding(
            "database-damaged",
            f"{path} can't be read as a results database ({error}); move it away, or set another [store] path: the "
            f"store fills a new one from the topics",
        )
        return
    yield Fact("database", f"{path}, schema {version}")
    if version > newest_schema():
        yield Finding(
            "database-newer",
            f"{path} has schema {version}, this program knows {newest_schema()}; update Sightstream here",
        )
    for topic, known in stored.items():
        if topic_ids.get(topic, known) != known:
            yield Finding(
                "database-other-topics",
                f"{path} was filled from an earlier topic named {topic}, and the store refuses to mix them; move it "
                f"away, or set another [store] path",
            )
