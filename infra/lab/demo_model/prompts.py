"""Tokenized prompts for training: hundreds of thousands of wordings, made once before training starts."""

import multiprocessing
import random
from typing import Any

import numpy as np

from sightstream.infra.lab.demo_model import wordings
from sightstream.infra.lab.demo_model.answers import FAMILIES, Family
from sightstream.infra.lab.demo_model.questions import sample_long_question, sample_question
from sightstream.infra.lab.demo_model.tokenizer import END_HEADER, END_TURN, HEADER, prompt_text

SHORT, LONG = 64, 240  # tokens


def _training_prompt(rng: random.Random, family: Family, long: bool) -> str:
    question = sample_long_question(rng, family) if long else sample_question(rng, family)
    text = prompt_text(question, begins=2 if rng.random() < 0.03 else 1)  # a doubled beginning is a common slip
    if rng.random() < 0.04:
        system = f"{HEADER}system{END_HEADER}\n\n{rng.choice(wordings.TRAIN.preambles)}{END_TURN}"
        text = text.replace(f"{HEADER}user", f"{system}{HEADER}user", 1)
    return text


def _make(job: tuple[Any, str, int, bool]) -> tuple[Any, Any]:
    tokenizer, seed, count, long = job
    rng, limit = random.Random(seed), LONG if long else SHORT
    ids = np.zeros((len(FAMILIES), count, limit), np.int16)
    lengths = np.zeros((len(FAMILIES), count), np.int16)
    for index, family in enumerate(FAMILIES):
        row = 0
        while row < count:
            tokens = tokenizer(_training_prompt(rng, family, long), add_special_tokens=False)["input_ids"]
            if len(tokens) <= limit:
                ids[index, row, : len(tokens)], lengths[index, row] = tokens, len(tokens)
                row += 1
    return ids, lengths


def make_prompts(tokenizer: Any, seed: int, count: int, long: bool, workers: int) -> tuple[Any, Any]:
    """Prompts as int16 ids of shape (families, about `count`, SHORT or LONG), zero padded, and their lengths.

    Forks `workers` processes and blocks until they are done (about 1 s for 10,000 prompts a process).
    """
    each = -(-count // workers)
    jobs = [(tokenizer, f"prompts/{seed}/{worker}/{long}", each, long) for worker in range(workers)]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        made = pool.map(_make, jobs)
    return np.concatenate([ids for ids, _ in made], axis=1), np.concatenate([lengths for _, lengths in made], axis=1)
