"""Calculates the least time that the work can take on a machine whose two ceilings were measured."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.infra.lab.bench.engine.cost_model import (
    MllamaShape,
    Weights,
    cross_kv_bytes_per_tile,
    decode_weight_bytes,
    prefill_flops,
    self_kv_bytes_per_token,
)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Measured bytes per second (read plus written) and floating-point operations per second."""

    bytes_per_s: float
    flops_per_s: float


@dataclass(frozen=True, slots=True)
class Storage:
    """How the engine keeps what a step reads: kind of weights, and bytes per number in full, self KV, cross KV."""

    weights: Weights = "none"
    full: int = 2
    cross: int = 2


@dataclass(frozen=True, slots=True)
class Load:
    """What is decoded together. `self_tokens` is the mean over slots of prompt and answer so far."""

    slots: int
    tiles: int
    self_tokens: float


def decode_step_bytes(shape: MllamaShape, storage: Storage, load: Load) -> float:
    """Bytes that one step reads: the weights once, and every slot's keys and values."""
    cross = load.tiles * cross_kv_bytes_per_tile(shape, storage.cross)
    own = load.self_tokens * self_kv_bytes_per_token(shape, storage.full)
    return decode_weight_bytes(shape, storage.weights, storage.full) + load.slots * (cross + own)


def decode_step_floor_s(shape: MllamaShape, storage: Storage, load: Load, ceilings: Ceilings) -> float:
    return decode_step_bytes(shape, storage, load) / ceilings.bytes_per_s


@dataclass(frozen=True, slots=True)
class ImageFloor:
    """Seconds per image: arithmetic (pixels and prompt) and memory (its part of the decoding steps)."""

    arithmetic_s: float
    memory_s: float

    @property
    def serial_s(self) -> float:
        return self.arithmetic_s + self.memory_s

    @property
    def overlapped_s(self) -> float:
        """As if arithmetic and memory were wholly hidden behind each other: no engine gets below."""
        return max(self.arithmetic_s, self.memory_s)


def image_floor(
    shape: MllamaShape, storage: Storage, load: Load, ceilings: Ceilings, prompt_tokens: int, new_tokens: float
) -> ImageFloor:
    """For `load.slots` answers of `new_tokens` each, decoded together."""
    step = decode_step_floor_s(shape, storage, load, ceilings)
    return ImageFloor(prefill_flops(shape, prompt_tokens) / ceilings.flops_per_s, step * new_tokens / load.slots)
