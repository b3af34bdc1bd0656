"""Counts from its configuration what an Mllama must at least compute and read. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Weights = Literal["none", "nf4", "int8", "fp8"]

# Bytes of one quantized weight, its scale included: NF4 has a byte for 64 (doubly quantized) and 4 more for 16384.
BYTES_PER_WEIGHT = {"nf4": 0.5 + 1 / 64, "int8": 1.0, "fp8": 1.0}


@dataclass(frozen=True, slots=True)
class MllamaShape:
    """The sizes that decide the cost. Biases, norms and gates are counted nowhere but in the vision tower's total."""

    vision_hidden: int
    vision_mlp: int
    vision_layers: int
    vision_output: int
    image_side: int
    patch_side: int
    max_tiles: int
    aspect_ratios: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_side: int
    self_layers: int
    cross_layers: int
    vocabulary: int

    @property
    def tile_tokens(self) -> int:
        """Tokens of one tile: its patches and a class token."""
        return (self.image_side // self.patch_side) ** 2 + 1

    @property
    def padded_tile_tokens(self) -> int:
        """As the vision tower sees them: a multiple of 8."""
        return -(-self.tile_tokens // 8) * 8


def shape_of(config: Any) -> MllamaShape:
    """The shape of a transformers `MllamaConfig`."""
    vision, text = config.vision_config, config.text_config
    cross = len(text.cross_attention_layers)
    return MllamaShape(
        vision_hidden=vision.hidden_size,
        vision_mlp=vision.intermediate_size,
        vision_layers=vision.num_hidden_layers + vision.num_global_layers,
        vision_output=vision.vision_output_dim,
        image_side=vision.image_size,
        patch_side=vision.patch_size,
        max_tiles=vision.max_num_tiles,
        aspect_ratios=len(vision.supported_aspect_ratios),
        hidden=text.hidden_size,
        mlp=text.intermediate_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_side=text.hidden_size // text.num_attention_heads,
        self_layers=text.num_hidden_layers - cross,
        cross_layers=cross,
        vocabulary=text.vocab_size,
    )


# --- parameters ---------------------------------------------------------------------------------------------


def parameters(shape: MllamaShape) -> dict[str, int]:
    """Parameters of each part, and their `total`."""
    attention = 2 * shape.hidden * shape.heads * shape.head_side  # queries and output
    feed_forward = 3 * shape.hidden * shape.mlp
    layer = attention + feed_forward
    parts = {
        "vision": _vision_matrices(shape) + _vision_embeddings(shape),
        "projector": (shape.vision_output + 1) * shape.hidden,
        "self_attention_layers": shape.self_layers * (layer + _keys_and_values(shape)),
        "cross_attention_layers": shape.cross_layers * (layer + _keys_and_values(shape)),
        "embedding": (shape.vocabulary + 8) * shape.hidden,
        "lm_head": shape.vocabulary * shape.hidden,
    }
    return parts | {"total": sum(parts.values())}


def _keys_and_values(shape: MllamaShape) -> int:
    """Return the parameters of one layer's key and value projections."""
    return 2 * shape.hidden * shape.kv_heads * shape.head_side


def _vision_matrices(shape: MllamaShape) -> int:
    return shape.vision_layers * (4 * shape.vision_hidden**2 + 2 * shape.vision_hidden * shape.vision_mlp)


def _vision_embeddings(shape: MllamaShape) -> int:
    """Patches, positions (one table for every aspect ratio), tiles before and after."""
    patches = 3 * shape.patch_side**2 * shape.vision_hidden
    positions = shape.tile_tokens * shape.vision_hidden
    ratios = shape.aspect_ratios + 1
    return patches + positions + ratios * shape.max_tiles * (positions + 2 * shape.vision_hidden)


# --- a decoding step: bytes ---------------------------------------------------------------------------------


def decode_weight_bytes(shape: MllamaShape, weights: Weights = "none", full: int = 2) -> float:
    """Bytes of weights that one decoding step reads, whatever the batch; `full` is the size of a number in full.

    The embedding is looked up and the cross layers' keys and values are ready: neither is read. `lm_head` is never
    quantized.
    """
    counts = parameters(shape)
    layers = counts["self_attention_layers"] + counts["cross_attention_layers"]
    layers -= shape.cross_layers * _keys_and_values(shape)
    return layers * BYTES_PER_WEIGHT.get(weights, full) + counts["lm_head"] * full


def cross_kv_bytes_per_tile(shape: MllamaShape, size: int = 2) -> int:
    return shape.cross_layers * 2 * shape.tile_tokens * shape.kv_heads * shape.head_side * size


def self_kv_bytes_per_token(shape: MllamaShape, size: int = 2) -> int:
    return shape.self_layers * 2 * shape.kv_heads * shape.head_side * size


# --- one image: operations ----------------------------------------------------------------------------------


def vision_flops(shape: MllamaShape) -> float:
    """The vision tower's for one image, whatever its tiles: it is padded to `max_tiles`, and all attend to all."""
    tokens = shape.max_tiles * shape.padded_tile_tokens
    patches = 2 * 3 * shape.patch_side**2 * shape.vision_hidden * shape.max_tiles * (shape.tile_tokens - 1)
    attention = shape.vision_layers * 4 * tokens**2 * shape.vision_hidden
    return 2.0 * _vision_matrices(shape) * tokens + attention + patches


def encode_flops(shape: MllamaShape) -> float:
    """From pixels to what the text attends to: the tower and the projector."""
    return vision_flops(shape) + 2.0 * shape.vision_output * shape.hidden * shape.max_tiles * shape.tile_tokens


def prefill_flops(shape: MllamaShape, prompt_tokens: int) -> float:
    """From pixels and prompt to the first token: `encode_flops`, the cross layers' keys and values, and the prompt's
    way through the layers. Attention, small for a short prompt, is left out.
    """
    counts = parameters(shape)
    layers = counts["self_attention_layers"] + counts["cross_attention_layers"]
    layers -= shape.cross_layers * _keys_and_values(shape)
    image = shape.cross_layers * _keys_and_values(shape) * shape.max_tiles * shape.tile_tokens
    return encode_flops(shape) + 2.0 * (image + layers * prompt_tokens + counts["lm_head"])
