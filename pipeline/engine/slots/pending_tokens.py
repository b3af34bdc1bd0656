"""Samples tokens from logits, and brings them to the host without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch

from sightstream.pipeline.constraints.token_constraint import fill_masks
from sightstream.pipeline.engine.slots.sampler import sample
from sightstream.pipeline.engine.slots.sampling import ConstrainedRows, SampledToken, SamplingBatch
from sightstream.pipeline.engine.slots.streams import record_event
from sightstream.pipeline.engine.slots.transfer import copy_numbers


@dataclass(frozen=True, slots=True)
class TokenSampler:
    """Samples a token for each row of logits; those of constrained rows are masked first, in place.

    The masks are filled here, on the host, while the device still computes the logits. `ops` as for the decoder.
    """

    ops: ModuleType
    mask_words: int

    def launch(
        self,
        logits: torch.Tensor,
        batch: SamplingBatch | None,
        constrained: ConstrainedRows | None,
        edges: torch.Tensor | None = None,
    ) -> PendingTokens:
        """Launch the sampling on the current stream. `edges` only travel with the tokens."""
        if constrained is None:
            return PendingTokens(sample(logits, batch), edges=edges)
        masks = self._masks(constrained, logits.device)
        rows = copy_numbers(constrained.rows, logits.device)
        totals = self.ops.mask_logits(logits, rows, masks)
        tokens = sample(logits, batch)
        logprobs = logits[rows, tokens[rows]].float() - totals
        return PendingTokens(tokens, constrained.rows, logprobs, edges)

    def _masks(self, constrained: ConstrainedRows, device: torch.device) -> torch.Tensor:
        size = (len(constrained.rows), self.mask_words)
        host = torch.zeros(size, dtype=torch.int32, pin_memory=device.type == "cuda")
        fill_masks(constrained.constraints, host.numpy())
        host[len(constrained.constraints) :] = -1  # all bits: every token may follow
        return host.to(device, non_blocking=True)


class PendingTokens:
    """Sampled tokens, with the log-probabilities of the constrained rows and of choices, on their way to the host."""

    def __init__(
        self,
        tokens: torch.Tensor,
        constrained: Sequence[int] = (),
        logprobs: torch.Tensor | None = None,
        edges: torch.Tensor | None = None,
    ) -> None:
        self._constrained = constrained
        self._tokens, self._logprobs, self._edges = (_to_host(part) for part in (tokens, logprobs, edges))
        self._arrived = record_event() if tokens.device.type == "cuda" else None

    def ready(self) -> bool:
        return self._arrived is None or self._arrived.query()

    def tokens(self) -> list[SampledToken]:
        """Block until they have arrived. Raises what failed on the device since the last wait."""
        self._wait()
        assert self._tokens is not None  # noqa: S101
        sampled = [SampledToken(token) for token in self._tokens.tolist()]
        if self._logprobs is not None:
            for row, logprob in zip(self._constrained, self._logprobs.tolist(), strict=True):
                sampled[row] = SampledToken(sampled[row].token, logprob)
        return sampled

    def edges(self) -> list[float]:
        """Return the log-probabilities of all choice trees' edges, one tree after the other. Blocks as `tokens`."""
        self._wait()
        return [] if self._edges is None else self._edges.tolist()

    def _wait(self) -> None:
        if self._arrived is not None:
            self._arrived.synchronize()


def _to_host(numbers: torch.Tensor | None) -> torch.Tensor | None:
    if numbers is None:
        return None
    host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=numbers.device.type == "cuda")
    return host.copy_(numbers, non_blocking=True)
