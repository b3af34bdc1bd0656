"""The machinery of training: its forward pass is transformers', its optimizer turns matrices orthogonal."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from sightstream.infra.lab.demo_model.answers import FAMILIES
from sightstream.infra.lab.demo_model.architecture import TINY, demo_config, fresh_model
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.forward import answer_loss, see
from sightstream.infra.lab.demo_model.muon import Muon, orthogonal
from sightstream.infra.lab.demo_model.pictures import Labels, sample_spec
from sightstream.infra.lab.demo_model.samples import FIELDS, FORMAT_QUESTIONS, TARGETS, SampleMaker, head_targets
from sightstream.infra.lab.demo_model.store import Batch, Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store() -> Store:
    """Eight drawn samples on the CPU."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)
    rng = random.Random(4)
    maker = SampleMaker(tokenizer, rng)
    block = {name: np.zeros((8, *shape), kind) for name, (shape, kind) in FIELDS.items()}
    for row in range(8):
        maker.write(block, row, sample_spec(rng))
    held = Store(8, torch.device("cpu"))
    held.add(block)
    return held


def _sections(store: Store) -> Batch:
    image, begin = demo_config(TINY).image_token_index, demo_config(TINY).text_config.bos_token_id
    prompts = torch.full((len(FAMILIES), 1, 6), 40)
    prompts[:, :, :3] = torch.tensor([begin, 41, image])
    rows = torch.arange(8)
    return store.batch(rows, rows % 7, (prompts, torch.full((len(FAMILIES), 1), 6)), torch.Generator())


def _formats(store: Store) -> Batch:
    return store.format_batch(torch.arange(8), torch.arange(8) % FORMAT_QUESTIONS)


@pytest.mark.parametrize("questions", [_sections, _formats])
def test_the_training_forward_is_transformers_forward(store: Store, questions: Callable[[Store], Batch]) -> None:
    model = fresh_model(TINY, seed=3).eval()
    image, batch = model.config.image_token_index, questions(store)
    mask = batch.tile_mask
    pixels = batch.tiles.float() / 255 * mask[:, :, None, None, None]
    with torch.no_grad():
        states = see(model, pixels, batch.aspect, mask, torch.ones(()), torch.zeros(()))
        loss, exact = answer_loss(model, batch.tokens, batch.starts, batch.lengths, states, mask, batch.answer_limit)
        at = torch.arange(batch.tokens.shape[1])
        inside = (at >= batch.starts[:, None]) & (at < (batch.starts + batch.lengths)[:, None])
        shown = (batch.tokens == image).cumsum(1)[..., None, None] * mask[:, None, None, :]
        expected = model(
            input_ids=batch.tokens,
            pixel_values=pixels[:, None],
            aspect_ratio_ids=batch.aspect[:, None],
            aspect_ratio_mask=mask[:, None].long(),
            cross_attention_mask=shown.long(),
            attention_mask=(at < (batch.starts + batch.lengths)[:, None]).long(),
            labels=batch.tokens.masked_fill(~inside, -100),
        ).loss
    assert loss.item() == pytest.approx(expected.item(), abs=2e-4)
    assert not exact.any()


def test_format_questions_end_with_the_end_token(store: Store) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)
    batch = _formats(store)
    for tokens, start, length in zip(batch.tokens, batch.starts, batch.lengths, strict=True):
        assert tokens[start + length - 1] == tokenizer.eos_token_id
        assert "\nAnswer " in tokenizer.decode(tokens[:start])
        assert not tokens[start + length :].any()


def test_head_targets_spell_the_price() -> None:
    targets = head_targets(Labels("mug", "red", "plain", 2, "$24.99", "tear", False))
    assert len(targets) == len(TARGETS)
    assert targets[-6:] == [2, 4, 10, 9, 9, 11]
    assert head_targets(Labels("none", None, None, 0, None, None, True))[1:5] == [-1, -1, -1, -1]


def test_orthogonal_makes_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonal(torch.randn(2, 24, 40, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_muon_goes_downhill() -> None:
    torch.manual_seed(0)
    weight, goal = torch.nn.Parameter(torch.randn(8, 8)), torch.randn(8, 8)
    muon = Muon([weight], lr=0.1, decay=0.0)
    first = (weight - goal).square().sum().item()
    for step in range(60):
        muon.lr = 0.2 * (1 - step / 60)
        muon.zero_grad()
        torch.autograd.backward((weight - goal).square().sum())
        muon.step()
    assert (weight - goal).square().sum().item() < 0.1 * first
