"""What generate() makes of formats: scores against brute force, loops, batches of one kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.engine.checkpoint import Checkpoint, load_checkpoint
from sightstream.pipeline.engine.format_prompt import with_format
from sightstream.pipeline.engine.generate_answers import GenerateAnswers, batch_key
from sightstream.pipeline.engine.generate_steps import RowEnds
from sightstream.pipeline.engine.generate_turns import Prompt, TurnRunner
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.errors import CapabilityMissing
from sightstream.pipeline.types import EngineJob
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat, ResponseFormat
from tests.pipeline.engine.test_contract import CHECKPOINT, GENERATE, drawn
from tests.pipeline.engine.tiny_qwen import save_tiny_qwen

pytestmark = pytest.mark.slow

CHOICES = ("red", "red wine", "blue", "größe 青い", "a dark shade of brown", "x")
FORMAT = ChoiceFormat(choices=CHOICES)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(GENERATE)


def job(number: int = 1, **changes: Any) -> EngineJob:
    options = AnalysisOptions(max_tokens=60)
    asked = EngineJob(number, drawn(number), "What colour is it?", options, response_format=FORMAT, reasons=False)
    return replace(asked, **changes)


def prompt_of(checkpoint: Checkpoint, asked: EngineJob) -> Prompt:
    text = PromptWriter(checkpoint.processor).write(with_format(asked.question, asked.response_format))
    return Prompt(asked, text, 60)


def forced(checkpoint: Checkpoint, asked: EngineJob, choice: str) -> float:
    """The score of one choice, its tokens fed one by one to a forward pass without a cache."""
    runner = TurnRunner(checkpoint, 1, lambda: None)
    inputs, _, _ = runner.inputs([prompt_of(checkpoint, asked)])
    total = 0.0
    for token in [*runner.choice_tokens(choice), None]:
        with torch.inference_mode():
            scored = checkpoint.model(**inputs).logits[0, -1].float().log_softmax(dim=-1)
        if token is None:
            return total + float(scored[sorted(runner.ends)].exp().sum().log())
        total += float(scored[token])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], dim=1)
        for name in ("attention_mask", "cross_attention_mask"):
            inputs[name] = torch.cat([inputs[name], inputs[name][:, -1:]], dim=1)
    raise AssertionError


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("max_rows", [1, 4, 8])
def test_scores_are_those_of_brute_force(checkpoint: Checkpoint, number: int, max_rows: int) -> None:
    asked = job(number)
    found, _ = TurnRunner(checkpoint, max_rows, lambda: None).score(prompt_of(checkpoint, asked), CHOICES)
    assert found == pytest.approx([forced(checkpoint, asked, choice) for choice in CHOICES], abs=1e-3)


def test_the_end_of_json_is_certain_where_nothing_else_may_follow(checkpoint: Checkpoint) -> None:
    """Any of the model's end tokens may stand there; their probabilities add up to 1 under the mask."""
    asked = job(response_format=JsonSchemaFormat(json_schema=JsonSchema(name="colour", schema_={"enum": ["red"]})))
    runner = TurnRunner(checkpoint, 1, lambda: None)
    (written,) = runner.write([prompt_of(checkpoint, asked)], [runner.compiler.start(asked.response_format)])
    assert len(runner.ends) > 1
    assert len(written.logprobs) == written.num_tokens == len(written.tokens) + 1
    assert written.logprobs[-1] == pytest.approx(0, abs=1e-6)
    assert all(logprob <= 0 for logprob in written.logprobs[:-1])
    assert runner.text(written.tokens) == '"red"'


def test_only_jobs_of_one_kind_run_together() -> None:
    json_format = JsonSchemaFormat(json_schema=JsonSchema(name="x", schema_={"type": "boolean"}))
    kinds = [
        job(),
        job(reasons=True),
        job(response_format=json_format),
        job(stops_repetition=True),
        job(more_pixels=(drawn(2),)),
        job(detail="low"),
        job(options=AnalysisOptions(max_tokens=61)),
    ]
    assert len({batch_key(each) for each in kinds}) == len(kinds)
    assert batch_key(job(1)) == batch_key(job(2))


def test_several_images_are_not_for_mllama(checkpoint: Checkpoint) -> None:
    with pytest.raises(CapabilityMissing, match="several images"):
        GenerateAnswers(checkpoint, 1, lambda: None).answer([job(more_pixels=(drawn(2),))])


def test_low_detail_is_refused_since_nothing_here_lowers_it(checkpoint: Checkpoint) -> None:
    with pytest.raises(CapabilityMissing, match="detail low"):
        GenerateAnswers(checkpoint, 1, lambda: None).answer([job(detail="low")])


def test_a_row_that_repeats_itself_ends_alone() -> None:
    rows = RowEnds([400, 400, 3], frozenset({9}), lambda: None, stops_repetition=True)
    written = torch.empty(3, 0, dtype=torch.long)
    for step in range(300):
        tokens = torch.tensor([[step % 3], [step % 7 + 10 * step], [1]])
        written = torch.cat([written, tokens], dim=1)
        ended: list[bool] = rows(written, torch.empty(0)).tolist()
    assert rows.repeated == {0}
    assert ended == [True, False, True]
    assert 100 < rows.lengths[0] < 300
    assert rows.lengths[1:] == [300, 3]


# --- another family of models ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = save_tiny_qwen(tmp_path_factory.mktemp("qwen"), CHECKPOINT)
    return load_checkpoint(GENERATE.model_copy(update={"checkpoint": folder}))


JSON = JsonSchemaFormat(
    json_schema=JsonSchema(
        name="product",
        schema_={
            "type": "object",
            "properties": {"colour": {"enum": ["red", "größe 青い"]}, "new": {"type": "boolean"}},
            "required": ["colour", "new"],
            "additionalProperties": False,
        },
    )
)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("reasons", [False, True])
def test_any_model_answers_json_and_choices_about_several_images(qwen: Checkpoint, images: int, reasons: bool) -> None:
    more = tuple(drawn(number) for number in range(1, images))
    formats: list[ResponseFormat] = [JSON, FORMAT]
    for wanted in formats:
        batch = [job(number, response_format=wanted, more_pixels=more, reasons=reasons) for number in range(3)]
        completions = GenerateAnswers(qwen, 3, lambda: None).answer(batch)
        assert all(parse_value(wanted, each.text).valid and each.finish_reason == "stop" for each in completions)
        assert all((each.reasoning is not None) == reasons for each in completions)


def test_every_image_counts(qwen: Checkpoint) -> None:
    answers = GenerateAnswers(qwen, 2, lambda: None)
    values = {
        number: answers.answer([job(1, more_pixels=(drawn(number),))])[0].confidence.choices for number in (2, 3, 2)
    }
    assert values[2] != values[3]
    assert answers.answer([job(1, more_pixels=(drawn(2),))])[0].confidence.choices == values[2]


@pytest.mark.parametrize("images", [1, 3])
def test_scores_of_another_model_are_those_of_brute_force(qwen: Checkpoint, images: int) -> None:
    asked = job(1, more_pixels=tuple(drawn(number) for number in range(2, images + 1)))
    text = PromptWriter(qwen.processor).write(with_format(asked.question, asked.response_format), images)
    runner = TurnRunner(qwen, 8, lambda: None)
    found, _ = runner.score(Prompt(asked, text, 60), CHOICES)
    expected = []
    for choice in CHOICES:
        inputs, width, _ = runner.inputs([Prompt(asked, text, 60)])
        tokens = torch.tensor([runner.choice_tokens(choice)])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], tokens], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if "mm_token_type_ids" in inputs:
            kinds = inputs["mm_token_type_ids"]
            inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(tokens)], dim=1)
        with torch.inference_mode():
            scored = qwen.model(**inputs).logits[0, width - 1 :].float().log_softmax(dim=-1)
        written = scored[:-1].gather(1, tokens[0][:, None]).sum()
        expected.append(float(written + scored[-1, sorted(runner.ends)].logsumexp(dim=0)))
    assert found == pytest.approx(expected, abs=1e-3)
