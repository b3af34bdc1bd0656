"""Provides what the parts of one process share: sizes, images, a model, an engine, decode processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from itertools import count
from typing import Any

from sightstream.infra.lab.bench.engine.asking import Asked, Asker
from sightstream.infra.lab.bench.engine.engines import build_engine_for, decoder_for, host_for, tiling_of
from sightstream.infra.lab.bench.engine.facts import machine_facts, model_facts
from sightstream.infra.lab.bench.engine.feed import Asks, Feed
from sightstream.infra.lab.bench.engine.models import checkpoint_for, device_of, tutorial_checkpoint
from sightstream.infra.lab.bench.engine.options import BenchOptions
from sightstream.infra.lab.bench.engine.photographs import photographs
from sightstream.infra.lab.bench.engine.sizes import Sizes, sizes_for
from sightstream.infra.lab.bench.engine.timeline import Timeline
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.protocol import Engine

QUESTION = "Is this the right product, is it whole, and may it be sold again? "
JOBS_A_FEED = 1_000_000


class Bench:
    """Everything is made when it is first asked for; what a part needs beforehand is named in `parts`."""

    def __init__(
        self, options: BenchOptions, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.options, self.say, self.clock = options, say, clock
        self.device = device_of(options.settings)
        self.sizes: Sizes = sizes_for(self.device, options.sizes)
        self.timeline = Timeline(self.device)
        self._beats = 0
        self._moments: list[float] | None = None
        self._numbers = count(0, JOBS_A_FEED)
        self._files: dict[int, list[bytes]] = {}

    def close(self) -> None:
        """Ends every process that was started."""
        for name in ("engine", "host", "decoder"):
            if name in self.__dict__:
                self.__dict__[name].stop()

    # --- what parts need ----------------------------------------------------------------------------------

    @cached_property
    def checkpoint(self) -> Checkpoint:
        self.say("loading the model")
        return checkpoint_for(self.options)

    @cached_property
    def tutorial(self) -> Checkpoint:
        self.say("loading the model in NF4, as tutorials do")
        return tutorial_checkpoint(self.options)

    @cached_property
    def stock(self) -> Checkpoint:
        """The model in full, whatever the options say of quantization."""
        self.say("loading the model in full")
        full = self.options.settings.model_copy(update={"quantization": "none"})
        return checkpoint_for(BenchOptions(full, self.options.model))

    @cached_property
    def engine(self) -> Engine:
        """In this process, with its first answer behind it."""
        checkpoint = self.checkpoint
        self.say(f"building the engine ({self.options.settings.kind})")
        engine = build_engine_for(checkpoint, self.options.settings, self._beat, self.timeline)
        self._warm(engine)
        return engine

    @cached_property
    def host(self) -> Engine:
        """The same engine in a child process of its own."""
        self.say(f"building the engine ({self.options.settings.kind}) in a process of its own")
        host = host_for(self.options, self.decoder)
        self.say(f"built: {host.identity.name}")  # blocks until the model is loaded
        self._warm(host)
        return host

    @cached_property
    def decoder(self) -> Decoder:
        return decoder_for(self.options, self.sizes.decoders)

    # --- what parts do with it ----------------------------------------------------------------------------

    @property
    def question(self) -> str:
        return (QUESTION * self.sizes.question_repeats).strip()

    def steps(self) -> int:
        """Decoding steps so far: the engine's own count where it keeps one, else its signs of progress."""
        own = getattr(self.__dict__.get("engine"), "steps", None)
        return own if isinstance(own, int) else self._beats

    def files(self, tiles: int) -> list[bytes]:
        """Return distinct JPEG files of so many tiles, made once."""
        if tiles not in self._files:
            self.say(f"drawing {self.sizes.photographs} images of {tiles} tiles")
            self._files[tiles] = photographs(self.sizes.photographs, tiles, tiling_of(self.options).side)
        return self._files[tiles]

    def feed(self, tokens: Iterator[int], tiles: int | None = None, asks: Asks = Asks()) -> Feed:  # noqa: B008 - frozen
        """Jobs from JPEG files, each numbered once in a process."""
        files = self.files(tiles or self.sizes.tiles)
        return Feed(files, self.decoder, self.question, tokens, self.sizes.decoders, next(self._numbers), asks)

    def ask(self, requests: int, tokens: int) -> Asked:
        """So many requests that come to the idle engine at once."""
        return self._ask(self.engine, requests, tokens)

    @contextmanager
    def step_moments(self) -> Iterator[list[float]]:
        """A list that grows by the moment of each decoding step of `engine`, as far as it gives signs of them."""
        self._moments = []
        try:
            yield self._moments
        finally:
            self._moments = None

    def _warm(self, engine: Engine) -> None:
        self._ask(engine, 2, 2)

    def _ask(self, engine: Engine, requests: int, tokens: int) -> Asked:
        first = next(self._numbers)
        files = self.files(self.sizes.tiles)
        chosen = [files[(first // JOBS_A_FEED + at) % len(files)] for at in range(requests)]
        with ThreadPoolExecutor(self.sizes.decoders) as pool:
            return Asker(engine, self.decoder, self.question, self.clock, pool).ask(chosen, tokens, first)

    # --- facts for the report -----------------------------------------------------------------------------

    def surroundings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Sizes, and the machine."""
        return asdict(self.sizes), machine_facts(self.device)

    def model(self) -> dict[str, Any]:
        """The measured model; empty until it is loaded here."""
        loaded: Checkpoint | None = self.__dict__.get("checkpoint") or self.__dict__.get("stock")
        return model_facts(loaded, self.question) if loaded else {}

    def _beat(self) -> None:
        self._beats += 1
        if self._moments is not None:
            self._moments.append(self.clock())
