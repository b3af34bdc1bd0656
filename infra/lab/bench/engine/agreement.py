"""Measures how far the slot engine's logits are from stock generate()'s, and whether a wrong mask would show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from PIL import Image

from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots import vision_attention
from sightstream.pipeline.engine.slots.block_allocator import BlockAllocator
from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.decode_step import ops_for
from sightstream.pipeline.engine.slots.encoder_cache import EncoderCache
from sightstream.pipeline.engine.slots.image_pages import HeldImage
from sightstream.pipeline.engine.slots.kv_cache import KvCache, PageShape
from sightstream.pipeline.engine.slots.prefill import Prefill
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.request_builder import RequestBuilder
from sightstream.pipeline.engine.slots.text_decoder import TextDecoder
from sightstream.pipeline.engine.slots.text_model import TextModel
from sightstream.pipeline.engine.slots.vision import VisionEncoder
from sightstream.pipeline.types import Canvas, EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions

METHOD = (
    "stock generate() answers greedily, one request at a time; the slot engine's modules are fed the same tokens in "
    "one batch of padded prompts, and the logits of every position are compared: |ours - stock| / |stock| over the "
    "vocabulary; beside it the same distance between stock alone and stock in one batch. First divergence: the first "
    "position where the likeliest token differs. Each mutant is the same with one mask wrong; its error is that of "
    "the request that it hits hardest."
)
if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance

# Rows x columns of tiles, and the question: every count of tiles, prompts of different lengths.
REQUESTS = (
    ((2, 2), "What is in the picture?"),
    ((1, 1), "What is it? Look at every detail, and then say why you think so."),
    ((1, 3), "How many items do you see?"),
    ((2, 1), "What colour is it?"),
)


@dataclass(frozen=True, slots=True)
class Stock:
    """An answer of generate(): `tokens`, and `logits` [tokens, vocabulary] in float32 on the host."""

    tokens: list[int]
    logits: torch.Tensor


def agreement(bench: Bench, allowance: Allowance) -> Measured:
    """Takes over the model: its attention is the slot engine's afterwards."""
    checkpoint, settings = bench.stock, bench.options.settings
    with torch.inference_mode():
        builder = RequestBuilder(checkpoint, settings.model_copy(update={"guided_sections": False}))
        jobs = [_job(number, checkpoint, *request) for number, request in enumerate(REQUESTS)]
        stock = [_stock(checkpoint, [job], bench.sizes.agreement_tokens)[0] for job in jobs]
        together = _stock(checkpoint, jobs, bench.sizes.agreement_tokens)
        ours = _Ours(checkpoint, settings, [builder.build(job) for job in jobs])
        rows = ours.rows(stock)
        mutants = {name: _hit(ours, stock, mutant) for name, mutant in MUTANTS.items()}
    errors = [error for row in rows for error in row.errors]
    noise = [_noise(*pair) for pair in zip(together, stock, strict=True)]
    figures = (
        Figure("logit_error_mean", sum(errors) / len(errors), "", METHOD),
        Figure("logit_error_max", max(errors), "", "of all requests and positions"),
        Figure("stock_noise_mean", sum(noise) / len(noise), "", "stock in a batch of four against stock alone"),
        Figure("smallest_mutant", min(mutants.values()), "", "mean error of the mutant that shows least"),
        Figure("mutant_margin", min(mutants.values()) / max(errors), "times", "smallest_mutant / logit_error_max"),
    )
    detail = {"first_divergence": [row.divergence for row in rows], "mutants": mutants}
    return Measured(figures, detail)


def _job(number: int, checkpoint: Checkpoint, tiles: tuple[int, int], question: str) -> EngineJob:
    side = checkpoint.processor.image_processor.size["height"]
    generator = torch.Generator().manual_seed(number)
    coarse = torch.randint(0, 256, (tiles[0] * 8, tiles[1] * 8, 3), dtype=torch.uint8, generator=generator)
    image = Image.fromarray(coarse.numpy()).resize((tiles[1] * side, tiles[0] * side), Image.Resampling.BICUBIC)
    canvas = Canvas(image.tobytes(), *tiles, side, image.width, image.height, "PNG")
    return EngineJob(number, canvas, question, AnalysisOptions(max_tokens=4))


def _stock(checkpoint: Checkpoint, jobs: list[EngineJob], tokens: int) -> list[Stock]:
    model, write = checkpoint.model, PromptWriter(checkpoint.processor).write
    inputs = checkpoint.processor(
        images=[[_image(job.pixels)] for job in jobs],
        text=[write(job.question) for job in jobs],
        add_special_tokens=False,
        padding=True,
        return_tensors="pt",
    ).to(model.device, dtype=model.dtype)
    output = model.generate(
        **inputs,
        do_sample=False,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        output_logits=True,
        return_dict_in_generate=True,
    )
    logits = torch.stack([step.float().cpu() for step in output.logits], dim=1)
    return [Stock(row.tolist(), logits[index]) for index, row in enumerate(output.sequences[:, -tokens:])]


def _image(canvas: Pixels | Canvas) -> Image.Image:
    return Image.frombytes("RGB", (canvas.width, canvas.height), bytes(canvas.buffer()))


def _noise(batched: Stock, alone: Stock) -> float:
    """The mean error of stock generate() against itself, as long as both say the same."""
    same = next(
        (at for at, pair in enumerate(zip(batched.tokens, alone.tokens, strict=True)) if pair[0] != pair[1]), -1
    )
    errors = _row(batched.logits, alone).errors[: same + 1 or None]
    return sum(errors) / len(errors)


@dataclass(frozen=True, slots=True)
class Row:
    """One request: the error at each position, and the first where another token would have been said."""

    errors: list[float]
    divergence: int | None


class _Ours:
    """The slot engine's parts on pages of their own, without graphs, so that a mutant is seen at once."""

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings, requests: list[Request]) -> None:
        model, ops = checkpoint.model, ops_for(checkpoint.model.device)
        shape = PageShape.of(model.config, model.dtype, fp8_tiles=settings.cross_kv == "fp8")
        self.requests = requests
        pages, tiles = BlockAllocator(2 * len(requests) + 1), BlockAllocator(4 * len(requests) + 1)
        self.kv = KvCache(shape, 2 * len(requests) + 1, 4 * len(requests) + 1, model.device)
        self.vision = VisionEncoder(checkpoint)
        text = TextModel.of(model)
        self._prefill = Prefill(checkpoint, text, self.vision, EncoderCache(0))
        self._decoder = TextDecoder(text, ops)
        self._device, self._max_tiles = model.device, model.config.vision_config.max_num_tiles
        for request in requests:
            request.pages, request.image = pages.allocate(2), HeldImage(None, tiles.allocate(self._max_tiles))

    def rows(self, stock: list[Stock], tiles_more: int = 0) -> list[Row]:
        """`tiles_more` is how many tiles too many a decoding step attends to."""
        for request in self.requests:
            assert request.image is not None  # noqa: S101
            request.image.is_filled = False
        logits = [self._prefill.run(self.requests, self.kv).logits.float().cpu()]
        table = DecodeInputs.zeros(len(stock), self._max_tiles, 2, pin=False)
        for position in range(len(stock[0].tokens) - 1):
            for row, (request, answer) in enumerate(zip(self.requests, stock, strict=True)):
                pages = request.tile_pages[: request.tiles + tiles_more]
                table.set_row(row, answer.tokens[position], len(request.prompt) + position, pages, request.pages)
            on_device = replace(table, packed=table.packed.to(self._device))
            logits.append(self._decoder.logits(on_device, self.kv).float().cpu())
        return [_row(torch.stack([step[row] for step in logits]), answer) for row, answer in enumerate(stock)]


def _row(logits: torch.Tensor, stock: Stock) -> Row:
    errors = (logits - stock.logits).norm(dim=-1) / stock.logits.norm(dim=-1)
    differs = (logits.argmax(-1) != stock.logits.argmax(-1)).nonzero()[:, 0].tolist()
    return Row(errors.tolist(), differs[0] if differs else None)


# --- wrong on purpose -----------------------------------------------------------------------------------------

Mutant = Callable[[_Ours], Any]


def _hit(ours: _Ours, stock: list[Stock], mutant: Mutant) -> float:
    """The mean error of the request that it hits hardest."""
    with mutant(ours) as tiles_more:
        return max(sum(row.errors) / len(row.errors) for row in ours.rows(stock, tiles_more or 0))


@contextmanager
def _all_tiles_in_prefill(_: _Ours) -> Iterator[None]:
    def image_mask(table: PrefillInputs) -> torch.Tensor:
        return torch.ones((*table.tokens.shape, 1, table.max_tiles), dtype=torch.long, device=table.packed.device)

    with mock.patch.object(PrefillInputs, "image_mask", property(image_mask)):
        yield


@contextmanager
def _padding_in_prefill(_: _Ours) -> Iterator[None]:
    token_mask = property(lambda table: torch.ones_like(table.tokens, dtype=torch.bool))
    with mock.patch.object(PrefillInputs, "token_mask", token_mask):
        yield


@contextmanager
def _tile_too_many(_: _Ours) -> Iterator[int]:
    yield 1


@contextmanager
def _padding_in_vision(ours: _Ours) -> Iterator[None]:
    right = ours.vision._tokens
    count = len(right[0].mask)
    every = torch.arange(count, device=right[0].mask.device)
    wrong = vision_attention.Tokens(every, every[:0], torch.ones_like(right[0].mask))
    ours.vision._tokens = [wrong] * len(right)
    yield
    ours.vision._tokens = right


MUTANTS: dict[str, Mutant] = {
    "prefill sees tiles that are not there": _all_tiles_in_prefill,
    "prefill sees the padding of shorter prompts": _padding_in_prefill,
    "decoding sees a tile too many": _tile_too_many,
    "vision lets padding see padding": _padding_in_vision,
}
