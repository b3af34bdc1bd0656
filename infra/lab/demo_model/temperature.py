"""Make a checkpoint's probabilities honest: `python -m sightstream.infra.lab.demo_model.temperature CHECKPOINT`.

A model that has seen its training pictures several times is surer than it is right. One temperature, fitted on
degraded pictures of its own seed, is folded into the last norm: no likeliest token changes, and every probability
that an engine computes is the corrected one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sightstream.infra.lab.demo_model.calibration import Bools, Floats

FOLDED = 1.85  # what the checked-in weights were divided by
TEMPERATURES = tuple(round(1.0 + 0.05 * step, 2) for step in range(31))
SEVERITIES = ((0.0, 0.85), (0.3, 1.0))
NORM = "language_model.model.norm.weight"


def best_temperature(confidences: Sequence[Floats], right: Sequence[Bools]) -> float:
    """Return that of TEMPERATURES under which the rightness of all answers is likeliest.

    `confidences` has an array (temperatures, answers) for each field.
    """
    losses = np.zeros(len(TEMPERATURES))
    for values, truth in zip(confidences, right, strict=True):
        sure = values.clip(1e-6, 1 - 1e-6)
        losses -= np.where(truth, np.log(sure), np.log(1 - sure)).mean(axis=1)
    return TEMPERATURES[int(losses.argmin())]


def fold(checkpoint: Path, temperature: float) -> None:
    """Divide all logits of the checkpoint by the temperature, in place."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    file = checkpoint / "model.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
        weights = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
    weights[NORM] = (weights[NORM].float() / temperature).to(torch.bfloat16)
    save_file(weights, file, metadata)
    file.chmod(0o644)


def fit(checkpoint: Path, images: int, seed: int, device: str, workers: int) -> float:
    """Return the temperature that fits degraded pictures of the seed; blocks for a minute on a GPU."""
    from sightstream.infra.lab.demo_model.evaluate_formats import basics, field_confidences, make_exam
    from sightstream.infra.lab.demo_model.format_asker import FormatAsker
    from sightstream.infra.lab.demo_model.formats import BASICS
    from sightstream.infra.lab.demo_model.grading import Asker

    asker = FormatAsker(Asker(checkpoint, 256, device=device), TEMPERATURES)
    confidences, right = [], []
    for severity in SEVERITIES:
        exam = make_exam(f"temperature/{seed}", images, basics, severity, workers)
        answers = asker.ask(exam.pictures, exam.questions, lambda _: None)
        every = [field_confidences(exam, answers, index) for index in range(len(TEMPERATURES))]
        for field in BASICS:
            confidences.append(np.stack([each[0][field] for each in every]))
            right.append(every[0][1][field])
    return best_temperature(confidences, right)


def main() -> None:
    """Read the options, fit, fold."""
    parser = argparse.ArgumentParser(description="Fit a temperature and fold it into a checkpoint.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    temperature = fit(options.checkpoint, options.images, options.seed, options.device, options.workers)
    fold(options.checkpoint, temperature)
    sys.stdout.write(f"folded in a temperature of {temperature}\n")


if __name__ == "__main__":
    main()
