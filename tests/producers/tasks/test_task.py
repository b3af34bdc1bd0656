"""The digest of a task is over what decides its answers, and over nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.producers.tasks.files import TWO_STAGES, task


def test_the_digest_is_frozen(tmp_path: Path) -> None:
    """Were this to change, publishing a source again with the same task would publish new requests."""
    assert task(tmp_path).digest == "cfc0e18db37658b0e872cfd9397912bf2257c68f990de27d061610a4cc52476b"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A category, then its attributes.", "Another description."),
        ("[options]", "# a comment\n\n[options]\ntemperature = 0.0"),
        ('detail = "low"\n', "detail = 'low'\n"),
        (
            '{ type = "object", properties = { sleeve = { enum = ["short", "long"] } }, required = ["sleeve"] }',
            """'{"type": "object", "properties": {"sleeve": {"enum": ["short", "long"]}}, "required": ["sleeve"]}'""",
        ),
    ],
)
def test_what_asks_the_same_has_the_same_digest(tmp_path: Path, old: str, new: str) -> None:
    assert old in TWO_STAGES
    assert task(tmp_path, TWO_STAGES.replace(old, new)).digest == task(tmp_path).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('detail = "low"', 'detail = "high"'),
        ("max_tokens = 64", "max_tokens = 65"),
        ("What is sold", "What is shown"),
        ('["shirt", "mug"]', '["mug", "shirt"]'),
        ('id = "shirt"', 'id = "shirts"'),
        ('when = { question = "category", in = ["shirt"] }\n', ""),
        ('["short", "long"]', '["long", "short"]'),
        (
            '{ type = "object", properties = { sleeve = { enum = ["short", "long"] } }, required = ["sleeve"] }',
            '{ properties = { sleeve = { enum = ["short", "long"] } }, type = "object", required = ["sleeve"] }',
        ),
    ],
)
def test_what_may_answer_otherwise_has_another(tmp_path: Path, old: str, new: str) -> None:
    assert old in TWO_STAGES
    assert task(tmp_path, TWO_STAGES.replace(old, new)).digest != task(tmp_path).digest
