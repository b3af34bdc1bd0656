"""The checkpoint in the repository answers JSON and choices, and is less sure where it is wrong."""

from typing import Any

import numpy as np
import pytest

from sightstream.infra.lab.demo_model.calibration import auroc
from sightstream.infra.lab.demo_model.evaluate_formats import (
    FormatEvaluation,
    any_choice,
    basics,
    field_confidences,
    make_exam,
    with_reasoning,
)
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.format_asker import FormatAsker
from sightstream.infra.lab.demo_model.formats import BASICS
from sightstream.infra.lab.demo_model.grading import Asker
from sightstream.infra.lab.demo_model.unusual_schemas import unusual_question

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def asker() -> Asker:
    return Asker(CHECKPOINT, batch=14)


@pytest.fixture(scope="module")
def evaluation(asker: Asker) -> FormatEvaluation:
    return FormatEvaluation(asker, seed=424_242, images=28, workers=1)


def test_attributes_are_right(evaluation: FormatEvaluation) -> None:
    result = evaluation.constrained("basics", basics)
    assert result["valid"] == 1.0
    assert all(result[field] >= 0.95 for field in BASICS), result


def test_json_comes_without_masks_too(evaluation: FormatEvaluation) -> None:
    result = evaluation.free("basics", basics)
    assert min(result.values()) >= 0.9, result


def test_choices_are_right(evaluation: FormatEvaluation) -> None:
    result = evaluation.constrained("choice", any_choice)
    assert result["valid"] == 1.0
    assert result["answer"] >= 0.85, result


def test_conclusions_hold_the_format(evaluation: FormatEvaluation) -> None:
    result = evaluation.free("reasoned", with_reasoning)
    assert min(result.values()) >= 0.9, result


def test_unusual_schemas_are_held(evaluation: FormatEvaluation) -> None:
    assert evaluation.constrained("never_trained", unusual_question)["valid"] == 1.0


def test_right_answers_are_surer_than_wrong_ones(asker: Asker) -> None:
    exam = make_exam("a small exam of confidence", 70, basics, (0.3, 1.0), workers=1)
    answers = FormatAsker(asker).ask(exam.pictures, exam.questions, lambda _: None)
    confidences, right = field_confidences(exam, answers)
    sure: Any = np.concatenate([confidences[field] for field in BASICS])
    true: Any = np.concatenate([right[field] for field in BASICS])
    assert 0.7 < true.mean() < 0.97
    assert auroc(sure, true) > 0.8
    assert abs(sure.mean() - true.mean()) < 0.08
