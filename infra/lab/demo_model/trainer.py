"""One training step: the recipe's numbers, the model with its optimizers, and what is made small."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sightstream.infra.lab.demo_model.answers import FAMILIES
from sightstream.infra.lab.demo_model.architecture import FULL, PIXEL_MEAN, PIXEL_STD, TINY, fresh_model
from sightstream.infra.lab.demo_model.forward import PIECES, answer_loss, compiled_pieces, see
from sightstream.infra.lab.demo_model.heads import Heads
from sightstream.infra.lab.demo_model.muon import Muon
from sightstream.infra.lab.demo_model.samples import FORMAT_QUESTIONS, PRICE_CHARACTERS, PRICE_LENGTH, TARGETS
from sightstream.infra.lab.demo_model.store import Batch, Store
from sightstream.infra.lab.demo_model.warm_start import warm_start


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Everything that decides how a training run goes."""

    minutes: float = 9.6
    seed: int = 1
    workers: int = max(1, (os.cpu_count() or 2) - 1)
    batch: int = 1024
    buffer: int = 160_000
    first_pictures: int = 24_000  # training starts when this many are drawn
    wordings: int = 60_000  # prompts of each family
    vision_fraction: float = 0.18  # of the training time: the vision tower alone
    decay_fraction: float = 0.7  # of the joint time: the learning rate falls to zero
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    heads_weight: float = 0.5
    reserve_s: float = 14.0  # for the last export
    start: str = ""  # a checkpoint to go on from; the vision tower is then not trained alone
    tiny: bool = False
    compiled: bool = True


class Losses(NamedTuple):
    """Both losses together, that of the answers alone, which answers are right, and the heads' logits."""

    both: Tensor
    said: Tensor
    exact: Tensor
    logits: Tensor


class Trainer:
    """The model, its optimizers and the two losses."""

    def __init__(self, hyperparameters: Hyperparameters, device: torch.device, tokenizer: Any) -> None:
        self.hyperparameters, self.device = hyperparameters, device
        shape = TINY if hyperparameters.tiny else FULL
        self.model = fresh_model(shape, hyperparameters.seed)
        if hyperparameters.start:
            warm_start(self.model, tokenizer, Path(hyperparameters.start))
        self.model.to(device)
        self.heads = Heads(shape.text_hidden, TARGETS, shape.text_heads).to(device)
        named = [*self.model.named_parameters(), *self.heads.named_parameters()]
        hidden = [p for name, p in named if p.ndim == 2 and _is_hidden(name)]
        chosen = {id(p) for p in hidden}
        self.muon = Muon(hidden, hyperparameters.muon_lr)
        rest = [p for _, p in named if id(p) not in chosen]
        self.adam = torch.optim.AdamW(rest, lr=hyperparameters.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.mean = torch.tensor(PIXEL_MEAN, device=device).view(1, 1, 3, 1, 1)
        self.std = torch.tensor(PIXEL_STD, device=device).view(1, 1, 3, 1, 1)
        self.pieces = compiled_pieces() if hyperparameters.compiled else PIECES
        if hyperparameters.compiled:
            self.heads.compile(dynamic=False)

    def step(self, loss: Tensor, pace: float) -> None:
        """One update with the learning rates times `pace`."""
        torch.autograd.backward(loss)
        self.muon.lr = self.hyperparameters.muon_lr * pace
        for group in self.adam.param_groups:
            group["lr"] = self.hyperparameters.adam_lr * pace
        self.muon.step()
        self.adam.step()
        self.muon.zero_grad()
        self.adam.zero_grad(set_to_none=True)

    def gains(self, size: int) -> Tensor:
        """Random light and colour casts, (B, 1, 3, 1, 1)."""
        light = torch.empty(size, 1, 1, 1, 1, device=self.device).uniform_(0.88, 1.12)
        return light * torch.empty(size, 1, 3, 1, 1, device=self.device).uniform_(0.96, 1.04)

    def vision_loss(self, batch: Batch, gains: Tensor) -> tuple[Tensor, Tensor]:
        """The heads' loss and logits."""
        with self._mixed():
            logits = self.heads(self._states(batch, gains), batch.tile_mask)
        return self.heads.loss(logits, batch.targets), logits

    def joint_loss(self, batch: Batch, gains: Tensor) -> Losses:
        """The loss of the answers and of the heads together, and what it is made of."""
        with self._mixed():
            states = self._states(batch, gains)
            logits = self.heads(states, batch.tile_mask)
            answers = (batch.tokens, batch.starts, batch.lengths)
            said, exact = answer_loss(self.model, *answers, states, batch.tile_mask, batch.answer_limit, self.pieces)
        both = said + self.hyperparameters.heads_weight * self.heads.loss(logits, batch.targets)
        return Losses(both, said, exact, logits)

    def _mixed(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def _states(self, batch: Batch, gains: Tensor) -> Tensor:
        there = batch.tile_mask[:, :, None, None, None]
        scale, shift = gains / 255 / self.std * there, -self.mean / self.std * there
        return see(self.model, batch.tiles, batch.aspect, batch.tile_mask, scale, shift, self.pieces)

    def _judge(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Which answers are right, and the likeliest classes; nothing of the pass stays in memory."""
        losses = self.joint_loss(batch, torch.ones(len(batch.aspect), 1, 3, 1, 1, device=self.device))
        return losses.exact.detach(), losses.logits.detach().argmax(-1)

    def validate(self, store: Store, prompts: tuple[Tensor, Tensor]) -> dict[str, float]:
        """On held-out samples: the share of answers exactly right, by family, and of right classes, by head.

        Runs with gradients on, though none are wanted: switching them off would compile everything again.
        """
        generator = torch.Generator(self.device).manual_seed(0)
        size, right, told, asked, formats = self.hyperparameters.batch, [], [], [], []
        for start in range(0, len(store) - size + 1, size):
            rows = torch.arange(start, start + size, device=self.device)
            batch = store.batch(rows, rows % len(FAMILIES), prompts, generator)
            exact_sections, classes = self._judge(batch)
            formats.append(self._judge(store.format_batch(rows, rows % FORMAT_QUESTIONS))[0])
            right.append(exact_sections)
            told.append(classes)
            asked.append(batch.targets)
        exact, guess, truth = torch.cat(right).float(), torch.cat(told), torch.cat(asked).long()
        by_family = torch.arange(len(exact), device=self.device) % len(FAMILIES)
        scores = {f"exact_{name}": exact[by_family == i].mean().item() for i, name in enumerate(FAMILIES)}
        scores["exact"] = exact.mean().item()
        scores["exact_formats"] = torch.cat(formats).float().mean().item()
        tagged = truth[:, -PRICE_LENGTH] != len(PRICE_CHARACTERS)
        read = ((guess == truth)[:, -PRICE_LENGTH:]).all(1)
        scores["head_price"] = read[tagged].float().mean().item()
        for index, name in enumerate(list(TARGETS)[:-PRICE_LENGTH]):
            there = truth[:, index] >= 0
            scores[f"head_{name}"] = (guess == truth)[there, index].float().mean().item()
        return {name: round(score, 4) for name, score in scores.items()}


def _is_hidden(name: str) -> bool:
    """True for the matrices that Muon moves."""
    return (
        "layers." in name
        or "multi_modal_projector" in name
        or name.partition(".")[0] in ("key", "value", "grow", "shrink")
    )
