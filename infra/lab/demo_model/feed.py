"""Processes that draw training samples into shared memory while the GPU trains."""

import ctypes
import mmap
import multiprocessing
import os
import random
from typing import Any

import numpy as np

from sightstream.infra.lab.demo_model.pictures import Split, sample_spec
from sightstream.infra.lab.demo_model.samples import FIELDS, SampleMaker

BLOCK = 128  # samples handed over at a time


class Feed:
    """`workers` forked processes, each filling blocks of BLOCK samples.

    Start it before CUDA is touched: the processes are forked. `next_block()` gives the next full block as arrays that
    stay valid until `give_back()` is called with its number.
    """

    def __init__(self, tokenizer: Any, seed: int, workers: int, split: Split = "train") -> None:
        context = multiprocessing.get_context("fork")
        self._blocks = [_block() for _ in range(workers * 3)]
        self._full: Any = context.Queue()
        self._free = [context.Queue() for _ in range(workers)]
        for number in range(len(self._blocks)):
            self._free[number % workers].put(number)
        self._processes = [
            context.Process(target=self._draw, args=(tokenizer, f"{seed}/{split}/{worker}", worker, split), daemon=True)
            for worker in range(workers)
        ]
        for process in self._processes:
            process.start()

    def next_block(self, timeout_s: float | None = None) -> tuple[int, dict[str, Any]]:
        """The next full block: its number and its arrays. Raises `queue.Empty` after `timeout_s`."""
        number = self._full.get(timeout=timeout_s)
        return number, self._blocks[number]

    def give_back(self, number: int) -> None:
        """Let the block be filled anew."""
        self._free[number % len(self._free)].put(number)

    def waiting(self) -> int:
        """How many full blocks wait to be taken (a guess: other processes are at work)."""
        return int(self._full.qsize())

    def stop(self) -> None:
        """End the drawing processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _draw(self, tokenizer: Any, seed: str, worker: int, split: Split) -> None:
        ctypes.CDLL(None).prctl(1, 15)  # end when the parent ends (Linux)
        os.nice(10)  # the one process that feeds the GPU goes first
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        rng = random.Random(seed)
        maker = SampleMaker(tokenizer, rng)
        while True:
            number = self._free[worker].get()
            for row in range(BLOCK):
                maker.write(self._blocks[number], row, sample_spec(rng, split))
            self._full.put(number)


def _block() -> dict[str, Any]:
    """Arrays for one block in anonymous memory that forked processes share."""
    arrays = {}
    for name, (shape, kind) in FIELDS.items():
        size = int(np.prod((BLOCK, *shape))) * np.dtype(kind).itemsize
        arrays[name] = np.frombuffer(mmap.mmap(-1, size), dtype=kind).reshape(BLOCK, *shape)
    return arrays
