"""Figures that say whether a confidence means something: given each answer's confidence and whether it was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = 10
MAX_CALIBRATION_ERROR = 0.05
MIN_AUROC = 0.80
LEAST_SURE = 0.20
MIN_ERRORS_AMONG_LEAST_SURE = 0.50


@dataclass(frozen=True, slots=True)
class Reliability:
    """The figures of one field. `errors_among_least_sure` is the fraction of all errors in the least sure 20 %."""

    answers: int
    right: float
    mean_confidence: float
    calibration_error: float
    auroc: float
    errors_among_least_sure: float

    @property
    def passes(self) -> bool:
        """Whether all three bars are held."""
        return (
            self.calibration_error <= MAX_CALIBRATION_ERROR
            and self.auroc >= MIN_AUROC
            and self.errors_among_least_sure >= MIN_ERRORS_AMONG_LEAST_SURE
        )


def measure(confidences: Floats, right: Bools) -> Reliability:
    """Return the figures of one field's answers. Right and wrong ones must both occur."""
    return Reliability(
        answers=len(right),
        right=float(right.mean()),
        mean_confidence=float(confidences.mean()),
        calibration_error=calibration_error(confidences, right),
        auroc=auroc(confidences, right),
        errors_among_least_sure=errors_among_least_sure(confidences, right),
    )


def calibration_error(confidences: Floats, right: Bools) -> float:
    """Return the expected calibration error over BINS bins of equal width."""
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    gaps = [abs(confidences[bins == each].sum() - right[bins == each].sum()) for each in range(BINS)]
    return float(sum(gaps) / len(right))


def auroc(confidences: Floats, right: Bools) -> float:
    """Return the probability that a right answer is surer than a wrong one; equal ones count half."""
    ordered, group, counts = np.unique(confidences, return_inverse=True, return_counts=True)
    del ordered
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]
    good, bad = int(right.sum()), int((~right).sum())
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * bad))


def errors_among_least_sure(confidences: Floats, right: Bools) -> float:
    """Return the fraction of the errors that the least sure 20 % hold; of equally sure ones the mean counts."""
    wrong = ~right
    left, held = LEAST_SURE * len(right), 0.0
    for value in np.unique(confidences):
        same = confidences == value
        part = min(1.0, left / same.sum())
        held += part * wrong[same].sum()
        left -= part * same.sum()
        if left <= 0:
            break
    return float(held / wrong.sum())


def meaningless(confidences: Mapping[str, Floats], seed: int = 0) -> dict[str, dict[str, Floats]]:
    """Return three confidences that mean nothing: constant, each field's mean, and shuffled. None may pass."""
    rng = np.random.default_rng(seed)
    overall = float(np.mean([values.mean() for values in confidences.values()]))
    return {
        "constant": {name: np.full_like(values, overall) for name, values in confidences.items()},
        "field_mean": {name: np.full_like(values, values.mean()) for name, values in confidences.items()},
        "shuffled": {name: rng.permutation(values) for name, values in confidences.items()},
    }


def diagram(confidences: Floats, right: Bools) -> list[tuple[float, float, int]]:
    """Return each bin's mean confidence, fraction of right answers, and size; empty bins are left out."""
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    filled = [bins == each for each in range(BINS) if (bins == each).any()]
    return [(float(confidences[each].mean()), float(right[each].mean()), int(each.sum())) for each in filled]
