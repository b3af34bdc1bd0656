"""Estimates what a task costs on one H100 with the 11B model, from sums that fit what was measured there.

Measured at four tiles and full batches: 19.9 images a second with answers of 16 tokens, 18.7 with 48, 12.6 with 256.
The sums below give 19.8, 18.4 and 12.6. At one tile, 56.4 were measured with 48 tokens, and the sums give 54.5. A GPU
that waits, or another model, costs more.
"""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.pipeline.engine.format_prompt import with_format
from sightstream.producers.tasks.task import Task
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.response_format import ChoiceFormat

MODEL = "Llama 3.2 11B Vision on one H100, four tiles, full batches"
LOOK_S = {"high": 0.0423, "auto": 0.0423, "low": 0.0099}  # the vision model, four tiles or one
LOOK_TEXT_S = {"high": 0.005, "auto": 0.005, "low": 0.0013}  # the text model's keys and values of the image
PROMPT_TOKEN_S = 0.000027
ANSWER_TOKEN_S = 0.00012
CHARS_PER_TOKEN = 4  # of English; other languages have fewer
TEMPLATE_TOKENS = 12  # what stands around a question


@dataclass(frozen=True, slots=True)
class QuestionCost:
    """What one question costs at most. The prompt is the text with its format, its placeholders not filled in."""

    id: str
    prompt_chars: int
    prompt_tokens: int
    max_tokens: int
    gpu_s: float


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What one request of a task costs at most: every question is asked, and every answer as long as it may be."""

    questions: tuple[QuestionCost, ...]
    look_s: float

    @property
    def gpu_s(self) -> float:
        """GPU-seconds of one request. Its images are looked at once, on one canvas."""
        return self.look_s + sum(question.gpu_s for question in self.questions)

    @property
    def max_tokens(self) -> int:
        return sum(question.max_tokens for question in self.questions)


def estimate(task: Task) -> TaskCost:
    """Return the cost of one request."""
    questions = tuple(_question(question, task) for question in task.questions)
    return TaskCost(questions, LOOK_S[task.detail] + LOOK_TEXT_S[task.detail])


def _question(question: Question, task: Task) -> QuestionCost:
    prompt = with_format(question.text, question.response_format)
    prompt_tokens = -(-len(prompt) // CHARS_PER_TOKEN) + TEMPLATE_TOKENS
    max_tokens = question.options(task.options).max_tokens
    gpu_s = prompt_tokens * PROMPT_TOKEN_S + _answer_s(question, max_tokens)
    return QuestionCost(question.id, len(prompt), prompt_tokens, max_tokens, gpu_s)


def _answer_s(question: Question, max_tokens: int) -> float:
    """Choices are scored like a prompt instead of written, unless the model reasons first."""
    chosen = question.response_format
    if not isinstance(chosen, ChoiceFormat):
        return max_tokens * ANSWER_TOKEN_S
    scored = sum(-(-len(choice) // CHARS_PER_TOKEN) + 1 for choice in chosen.choices)
    return scored * PROMPT_TOKEN_S + (max_tokens * ANSWER_TOKEN_S if question.reasons else 0)
