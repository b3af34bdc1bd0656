"""Train the demo model: `python -m sightstream.infra.lab.demo_model.train --seed 1 --out DIR`.

Pictures are drawn by all cores while the GPU trains. Two phases: first the vision tower alone, with small
classifiers on what it hands to the text; then everything together, the classifiers kept as a second loss.
The time is a budget for everything from start to export; a checkpoint is also written every 90 s.
"""

import argparse
import copy
import json
import queue
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sightstream.infra.lab.demo_model.export import build_processor, export
from sightstream.infra.lab.demo_model.feed import BLOCK, Feed
from sightstream.infra.lab.demo_model.prompts import make_prompts
from sightstream.infra.lab.demo_model.store import Batch, Store, to_device
from sightstream.infra.lab.demo_model.tokenizer import build_tokenizer
from sightstream.infra.lab.demo_model.trainer import Hyperparameters, Trainer


def _pace(fraction: float, decay_fraction: float) -> float:
    """The learning rate's factor when `fraction` of a phase is over."""
    return min(1.0, max(0.0, (1 - fraction) / decay_fraction)) if decay_fraction else 1.0


class Run:
    """One training run: the clock, the feed, the log."""

    def __init__(self, hyperparameters: Hyperparameters, out: Path) -> None:
        self.hyperparameters, self.out = hyperparameters, out
        self.begun = time.monotonic()
        self.ends = self.begun + hyperparameters.minutes * 60 - hyperparameters.reserve_s
        out.mkdir(parents=True, exist_ok=True)
        self.log_file = (out / "training.jsonl").open("w")
        self.over = threading.Event()
        self.log(hyperparameters=asdict(hyperparameters))

    def log(self, **values: Any) -> None:
        """Write a line to the log and to the screen."""
        line = json.dumps({"t": round(time.monotonic() - self.begun, 1), **values})
        self.log_file.write(line + "\n")
        self.log_file.flush()
        sys.stderr.write(line + "\n")

    def prepare(self) -> None:
        """Tokenizer, prompts and drawing processes first: they fork, so CUDA must not be awake yet."""
        hyperparameters = self.hyperparameters
        self.tokenizer = build_tokenizer()
        many, few = hyperparameters.wordings, max(1, hyperparameters.wordings // 10)
        short = make_prompts(self.tokenizer, hyperparameters.seed, many, False, hyperparameters.workers)
        long = make_prompts(self.tokenizer, hyperparameters.seed, few, True, hyperparameters.workers)
        self.log(prepared="prompts")
        checks = Feed(self.tokenizer, hyperparameters.seed, hyperparameters.workers, "test")
        held_out = [checks.next_block(120)[1] for _ in range(max(1, 3 * hyperparameters.batch // BLOCK))]
        checks.stop()
        self.log(prepared="held-out pictures")
        self.feed = Feed(self.tokenizer, hyperparameters.seed, hyperparameters.workers)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.short, self.long = to_device(short, self.device), to_device(long, self.device)
        self.store = Store(hyperparameters.buffer, self.device)
        self.checks = Store(BLOCK * len(held_out), self.device)
        for block in held_out:
            self.checks.add(block)
        self.receiver = threading.Thread(target=self._receive, daemon=True)
        self.receiver.start()
        self.generator = torch.Generator(self.device).manual_seed(hyperparameters.seed)
        self.log(prepared="device")
        self.trainer = Trainer(hyperparameters, self.device, self.tokenizer)
        self.log(prepared="model", parameters=sum(p.numel() for p in self.trainer.model.parameters()))

    def _receive(self) -> None:
        """In a thread of its own: move what has been drawn onto the device, compiling or not."""
        while not self.over.is_set():
            try:
                number, block = self.feed.next_block(0.2)
            except queue.Empty:
                continue
            self.store.add(block)
            self.feed.give_back(number)

    def warm_up(self) -> None:
        """Compile everything on held-out pictures (nothing is learnt from them) while the first ones are drawn."""
        for step in (0, 1, 9):
            batch = self._batch(self.checks, step)
            torch.autograd.backward(self.trainer.joint_loss(batch, self.trainer.gains(self.hyperparameters.batch)).both)
            self.log(prepared="compiled one step")
        self.trainer.model.zero_grad(set_to_none=True)
        self.trainer.heads.zero_grad(set_to_none=True)
        self.log(prepared="compiled", drawn=self.store.drawn, validation=self.trainer.validate(self.checks, self.short))
        while self.store.drawn < self.hyperparameters.first_pictures and time.monotonic() < self.ends:
            time.sleep(0.2)

    def train(self) -> None:
        """Both phases, until the time is over."""
        start = time.monotonic()
        alone = 0.0 if self.hyperparameters.start else self.hyperparameters.vision_fraction
        middle = start + (self.ends - start) * alone
        self._phase("vision", start, middle)
        self._phase("joint", middle, self.ends)

    def _phase(self, name: str, start: float, end: float) -> None:
        trainer, step, told = self.trainer, 0, time.monotonic()
        seen, saved = 0, time.monotonic()
        while (now := time.monotonic()) < end:
            fraction = (now - start) / (end - start)
            pace = min(1.0, (step + 1) / 100) * _pace(
                fraction, self.hyperparameters.decay_fraction if name == "joint" else 0.0
            )
            batch = self._batch(self.store, step if name == "joint" else 0)
            gains = trainer.gains(self.hyperparameters.batch)
            if name == "vision":
                loss = report = trainer.vision_loss(batch, gains)[0]
            else:
                losses = trainer.joint_loss(batch, gains)
                loss, report = losses.both, losses.said
            trainer.step(loss, pace)
            step, seen = step + 1, seen + len(batch.aspect)
            if step % 4 == 0 and self.device.type == "cuda":
                torch.cuda.synchronize()  # so that the clock, not the launch queue, decides when to stop
            if now - told > 10:
                rate = round(seen / (time.monotonic() - told))
                self.log(
                    phase=name,
                    step=step,
                    loss=round(report.item(), 4),
                    pace=round(pace, 3),
                    per_s=rate,
                    drawn=self.store.drawn,
                )
                told, seen = time.monotonic(), 0
            if now - saved > 90:
                self.save()
                saved = time.monotonic()
        self.log(phase=name, step=step, ended=True, validation=trainer.validate(self.checks, self.short))

    def _batch(self, store: Store, step: int) -> Batch:
        """By turns formats and sections; every tenth batch has long prompts."""
        size = self.hyperparameters.batch
        if step % 10 == 9:
            return store.sample(size, self.long, self.generator)
        if step % 2:
            return store.sample_formats(size, self.generator)
        return store.sample(size, self.short, self.generator)

    def stop(self) -> None:
        """End the drawing."""
        self.over.set()
        self.receiver.join()
        self.feed.stop()

    def save(self) -> None:
        """Export the weights as they are, and judge them."""
        scores = self.trainer.validate(self.checks, self.short)
        model = copy.deepcopy(self.trainer.model).cpu()
        export(model, build_processor(self.tokenizer), self.out / "checkpoint")
        self.log(saved=True, drawn=self.store.drawn, validation=scores)


def main(arguments: list[str] | None = None) -> None:
    """Read the options and train."""
    options = argparse.ArgumentParser(description="Train the demo model on drawn product pictures.")
    options.add_argument("--out", type=Path, required=True)
    for name, value in asdict(Hyperparameters()).items():
        if isinstance(value, bool):
            options.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=value)
        else:
            options.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(options.parse_args(arguments))
    out = given.pop("out")
    run = Run(Hyperparameters(**given), out)
    run.prepare()
    try:
        run.warm_up()
        run.train()
        run.save()
    finally:
        run.stop()


if __name__ == "__main__":
    main()
