"""Starts a training run from an earlier checkpoint, whose tokenizer may be another one of the same kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def warm_start(model: Any, tokenizer: Any, folder: Path) -> None:
    """Copy the weights of the checkpoint in `folder` into `model`; the shapes but for the vocabulary must be equal.

    A token that the earlier tokenizer had keeps its rows. Another starts from that of the same word behind a space,
    else from the mean of its pieces. Neurons that were all zero start anew.
    """
    import torch
    from transformers import AutoTokenizer, MllamaForConditionalGeneration

    earlier = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    old = MllamaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    weights, sources = old.state_dict(), token_sources(earlier, tokenizer)
    for name, fresh in model.state_dict().items():
        weight = weights[name]
        if name.endswith("embed_tokens.weight") or name == "lm_head.weight":
            for token, rows in enumerate(sources[: len(fresh) if "lm_head" in name else None]):
                fresh[token] = weight[rows].mean(0)
        elif name.endswith(("gate_proj.weight", "up_proj.weight")):
            there = weight.abs().sum(1) > 0
            fresh[there] = weight[there]
        else:
            fresh.copy_(weight)


def token_sources(earlier: Any, tokenizer: Any) -> list[list[int]]:
    """For every token of `tokenizer` the ids of `earlier` that it starts from."""
    vocabulary, sources = earlier.get_vocab(), []
    names = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    for name in names:
        known = vocabulary.get(name, vocabulary.get("Ġ" + name))
        text = tokenizer.backend_tokenizer.decoder.decode([name]) if known is None else ""
        sources.append([known] if known is not None else _pieces(earlier, text))
    return sources


def _pieces(earlier: Any, text: str) -> list[int]:
    ids: list[int] = earlier.backend_tokenizer.encode(text, add_special_tokens=False).ids
    return ids or [0]
