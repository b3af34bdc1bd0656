"""The temperature that is folded into the checkpoint is the one that makes its probabilities honest."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from sightstream.infra.lab.demo_model.temperature import TEMPERATURES, best_temperature


@pytest.mark.parametrize("true", [1.0, 1.5, 2.2])
def test_the_fitted_temperature_is_the_true_one(true: float) -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(2.5, 2.0, 40_000)
    right = rng.random(40_000) < 1 / (1 + np.exp(-logits / true))
    confidences = np.stack([1 / (1 + np.exp(-logits / each)) for each in TEMPERATURES])
    assert best_temperature([confidences], [right]) == pytest.approx(true, abs=0.11)


@pytest.mark.slow
def test_folding_divides_every_logit(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from sightstream.infra.lab.demo_model.export import CHECKPOINT
    from sightstream.infra.lab.demo_model.temperature import NORM, fold

    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, folder)
    fold(folder, 2.0)
    before, after = (load_file(at / "model.safetensors") for at in (CHECKPOINT, folder))
    assert torch.equal(after.pop(NORM) * 2, before.pop(NORM))
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000
