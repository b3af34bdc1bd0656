"""The figures of confidence tell a meaningful one from three that mean nothing."""

import numpy as np
import pytest

from sightstream.infra.lab.demo_model.calibration import (
    auroc,
    calibration_error,
    diagram,
    errors_among_least_sure,
    meaningless,
    measure,
)


def _honest(seed: int = 3, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of a model that is exactly as often right as it says, 85 % of the time."""
    rng = np.random.default_rng(seed)
    confidences = rng.beta(2.4, 0.42, count)
    return confidences, rng.random(count) < confidences


def test_an_honest_confidence_passes() -> None:
    figures = measure(*_honest())
    assert 0.7 < figures.right < 0.9
    assert figures.passes, figures


def test_meaningless_confidences_fail() -> None:
    confidences, right = _honest()
    for name, fields in meaningless({"colour": confidences, "kind": confidences / 2}).items():
        assert not measure(fields["colour"], right).passes, name


def test_an_overconfident_model_fails() -> None:
    confidences, right = _honest()
    assert measure(confidences**0.3, right).calibration_error > 0.05


def test_calibration_error_is_the_mean_gap() -> None:
    confidences = np.array([0.95, 0.95, 0.15, 0.15])
    right = np.array([True, False, False, False])
    assert calibration_error(confidences, right) == pytest.approx((0.9 + 0.3) / 4)


def test_auroc_counts_pairs_and_halves_for_equal_ones() -> None:
    right = np.array([True, True, False, False])
    assert auroc(np.array([0.9, 0.8, 0.2, 0.1]), right) == 1.0
    assert auroc(np.array([0.1, 0.2, 0.8, 0.9]), right) == 0.0
    assert auroc(np.array([0.5, 0.9, 0.5, 0.1]), right) == pytest.approx(3.5 / 4)


def test_the_least_sure_hold_errors() -> None:
    confidences = np.linspace(0.0, 1.0, 10)
    wrong = np.array([True, False, True, True, False, False, False, False, False, True])
    assert errors_among_least_sure(confidences, ~wrong) == pytest.approx(1 / 4)
    assert errors_among_least_sure(np.full(10, 0.6), ~wrong) == pytest.approx(0.2)


def test_a_diagram_leaves_empty_bins_out() -> None:
    drawn = diagram(np.array([0.05, 0.95, 1.0]), np.array([False, True, True]))
    assert drawn == [(0.05, 0.0, 1), (pytest.approx(0.975), 1.0, 2)]
