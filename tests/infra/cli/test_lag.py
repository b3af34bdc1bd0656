"""What `sightstream lag` shows, and of which groups."""

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from sightstream.consumers.lag.types import GroupLag, PartitionLag
from sightstream.infra.cli.lag import _pipeline_groups, as_table
from sightstream.infra.settings import check_environment

PARTITION = PartitionLag(
    group="workers", topic="t", partition=0, committed=3, stable_end=9, records=6, seconds=1.5, owner=None
)
GROUP = GroupLag("workers", (), (PARTITION, replace(PARTITION, partition=1, removed_before_read=4)))


@pytest.fixture(autouse=True)
def _read_again() -> Iterator[None]:
    check_environment.cache_clear()
    yield
    check_environment.cache_clear()


def shown(*, partitions: bool) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(as_table([GROUP], partitions))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_group_is_one_line_and_its_partitions_come_when_asked_for() -> None:
    assert "nobody" not in shown(partitions=False)
    assert shown(partitions=True).count("nobody") == 2


def test_the_line_of_a_group_counts_what_was_removed_unread() -> None:
    (line,) = (line for line in shown(partitions=False).splitlines() if "workers" in line)
    assert "12" in line
    assert line.rstrip(" │").endswith("4")


def test_columns_that_would_be_empty_are_left_out() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(as_table([replace(GROUP, partitions=(PARTITION,))]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "partition" not in text
    assert "removed" not in text
    assert "partition" in shown(partitions=True)


def test_the_groups_are_those_that_the_commands_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for section in ("WORKER", "STORE", "LOOKUP"):
        monkeypatch.setenv(f"SIGHTSTREAM_{section}_GROUP_ID", f"our-{section.lower()}")
    assert list(_pipeline_groups()) == ["our-worker", "our-store", "our-lookup"]


def test_names_are_whole_on_a_narrow_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    name = "sightstream-workers-of-the-second-shop"
    console.print(as_table([replace(GROUP, group=name)], partitions=True))
    assert name in console.file.getvalue()  # type: ignore[attr-defined]
