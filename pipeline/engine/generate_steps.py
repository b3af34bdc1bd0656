"""What happens at each step of generate() beside the model: masks, and the ends of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor, StoppingCriteria

from sightstream.pipeline.constraints.repetition import RepetitionGuard
from sightstream.pipeline.constraints.token_constraint import TokenConstraint, fill_masks
from sightstream.pipeline.engine.protocol import ProgressCallback


class RowEnds(StoppingCriteria):  # type: ignore[misc]  # transformers is not followed by mypy
    """Ends each row at its own limit, or when it repeats itself, and reports every step as progress.

    `lengths` are the tokens of the rows, an end token included, and `ended` says which are complete.
    """

    def __init__(
        self, limits: Sequence[int], ends: frozenset[int], on_progress: ProgressCallback, *, stops_repetition: bool
    ) -> None:
        self.limits, self._ends, self._on_progress = limits, ends, on_progress
        self._guards = [RepetitionGuard() for _ in limits] if stops_repetition else []
        self.repeated: set[int] = set()
        self.ended = [False] * len(limits)
        self.lengths = [0] * len(limits)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        self._on_progress()
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if not self.ended[row]:
                self.lengths[row] += 1
                is_last = token in self._ends or self.lengths[row] >= self.limits[row]
                self.ended[row] = is_last or self._repeats(row, token)
        return torch.tensor(self.ended, dtype=torch.bool, device=input_ids.device)

    def _repeats(self, row: int, token: int) -> bool:
        if self._guards and self._guards[row].accept(token):
            self.repeated.add(row)
        return row in self.repeated


class FiniteLogits(LogitsProcessor):  # type: ignore[misc]
    """Notes whether the logits of all steps are finite numbers."""

    def __init__(self) -> None:
        self.passed = True

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.passed = self.passed and bool(scores.isfinite().all())
        return scores


class MaskedRows(LogitsProcessor):  # type: ignore[misc]
    """Allows each row only the tokens that its constraint allows, and notes how probable the chosen ones were.

    `logprobs` holds, for each row, the natural logarithms of its tokens' probabilities under the mask at temperature 1,
    the end token's included. They are complete after `finish`.
    """

    def __init__(
        self, constraints: Sequence[TokenConstraint], rows: RowEnds, ends: frozenset[int], mask_words: int
    ) -> None:
        self._constraints, self._rows, self._ends = constraints, rows, sorted(ends)
        self._masks = np.zeros((len(constraints), mask_words), dtype=np.int32)
        self._scored: torch.Tensor | None = None  # log-probabilities of the step before
        self._ended = [False] * len(constraints)
        self.logprobs: list[list[float]] = [[] for _ in constraints]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._accept(input_ids[:, -1])
        masked = scores.float().masked_fill(~self._allowed(scores), float("-inf"))
        self._scored = masked.log_softmax(dim=-1)
        return masked

    def is_complete(self, row: int) -> bool:
        """Return whether the row's text fits the format."""
        return self._constraints[row].is_complete

    def finish(self, tokens: torch.Tensor) -> None:
        """Note the last `tokens` [rows], after which no step came."""
        self._accept(tokens)

    def _accept(self, tokens: torch.Tensor) -> None:
        if self._scored is None:
            return
        chosen = self._scored.gather(1, tokens.to(self._scored.device)[:, None])[:, 0].tolist()
        ending = self._scored[:, self._ends].logsumexp(dim=-1).tolist()  # any end token says the same
        for row, token in enumerate(tokens.tolist()):
            if not self._ended[row]:
                self.logprobs[row].append(ending[row] if token in self._ends else chosen[row])
                self._ended[row] = self._rows.ended[row]
                if token not in self._ends:
                    self._constraints[row].accept(token)

    def _allowed(self, scores: torch.Tensor) -> torch.Tensor:
        """Return which tokens may follow [rows, vocabulary]: for rows that have ended any, which nobody reads."""
        open_rows = [row for row, ended in enumerate(self._ended) if not ended]
        masks = self._masks[: len(open_rows)]
        fill_masks([self._constraints[row] for row in open_rows], masks)
        bits = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")[:, : scores.shape[1]].astype(bool)
        allowed = np.ones(scores.shape, dtype=bool)
        allowed[open_rows, : bits.shape[1]] = bits
        allowed[open_rows, bits.shape[1] :] = False
        for row in open_rows:
            if self._constraints[row].must_end:
                allowed[row] = False
                allowed[row, self._ends] = True
        return torch.from_numpy(allowed).to(scores.device)
