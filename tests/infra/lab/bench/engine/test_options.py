"""What a caller may ask for, and what they are told when it can't be."""

from __future__ import annotations

import pytest

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.options import Budgets, read_budgets
from sightstream.infra.lab.bench.engine.part_process import find
from sightstream.infra.lab.bench.engine.parts import PARTS, Part, chosen
from sightstream.infra.lab.bench.engine.sizes import ON_CPU, ON_GPU, sizes_for

pytestmark = pytest.mark.slow


def test_sizes_go_by_the_device_and_can_be_overridden() -> None:
    assert sizes_for("cuda", {}) == ON_GPU
    assert sizes_for("cpu", {}) == ON_CPU
    changed = sizes_for("cuda", {"tokens": "64", "stock_batches": "16,32", "window_rounds": "1.5"})
    assert (changed.tokens, changed.stock_batches, changed.window_rounds) == (64, (16, 32), 1.5)
    assert changed.tiles == ON_GPU.tiles


@pytest.mark.parametrize("wanted", [{"tokns": "1"}, {"tokens": "many"}, {"tokens": "0"}, {"stock_batches": "8,"}])
def test_wrong_sizes_are_told(wanted: dict[str, str]) -> None:
    with pytest.raises(CommandError, match="size"):
        sizes_for("cpu", wanted)


def test_budgets() -> None:
    assert read_budgets("90") == Budgets(90)
    read = read_budgets("90, slots=200,seed=60")
    assert (read.of("slots"), read.of("seed"), read.of("stock")) == (200, 60, 90)
    for wrong in ("soon", "slots=", "slot=5"):
        with pytest.raises(CommandError):
            read_budgets(wrong)


def test_parts_are_chosen_by_name_and_run_in_their_own_order() -> None:
    assert [part.name for part in chosen(["slots", "ceilings"])] == ["ceilings", "slots"]
    assert chosen(["none"]) == ()
    usual = {part.name for part in chosen(None)}
    assert usual < {part.name for part in PARTS}
    with pytest.raises(CommandError, match="known"):
        chosen(["slot"])


def test_groups_are_not_scattered() -> None:
    groups = [part.group for part in PARTS]
    assert [group for at, group in enumerate(groups) if group not in groups[:at]] == [
        group for at, group in enumerate(groups) if at == 0 or groups[at - 1] != group
    ]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_is_there_to_be_run(part: Part) -> None:
    assert callable(find(part.where))
