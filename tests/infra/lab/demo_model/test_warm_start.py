"""A run that starts from an earlier checkpoint keeps what its tokens meant."""

from typing import Any

import pytest
import torch

from sightstream.infra.lab.demo_model.architecture import FULL, fresh_model
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.warm_start import token_sources, warm_start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)


def test_the_same_tokenizer_keeps_every_row(tokenizer: Any) -> None:
    assert token_sources(tokenizer, tokenizer) == [[index] for index in range(len(tokenizer))]


def test_the_same_tokenizer_keeps_every_weight(tokenizer: Any) -> None:
    from transformers import MllamaForConditionalGeneration

    model = fresh_model(FULL, seed=5)
    warm_start(model, tokenizer, CHECKPOINT)
    stored = MllamaForConditionalGeneration.from_pretrained(CHECKPOINT, dtype=torch.float32).state_dict()
    for name, weight in model.state_dict().items():
        rows = len(tokenizer) if "embed_tokens" in name else None  # rows behind the vocabulary mean nothing
        assert torch.equal(weight[:rows], stored[name][:rows]), name
