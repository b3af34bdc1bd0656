"""Writes a vision-language model of random weights: `tiny_model.py FOLDER` makes model.gguf and mmproj.gguf there.

It is LLaVA's shape: a vision tower of two layers, a projector of two, and a Llama of two. What it says is noise; what
holds its answers to a schema is the server.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, INNER, CONTEXT_TOKENS = 64, 2, 4, 128, 16_384
VISION_WIDTH, VISION_LAYERS, VISION_HEADS, VISION_INNER, SIDE, PATCH = 32, 2, 2, 64, 28, 14
EPSILON = 1e-5
CHAT_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
# Beside a token for each byte and each letter, so that a choice may have several ways to be written.
WORDS = ("red", "blue", "mug", "shirt", "wine", "answer", "re", "bl", "mu")


class Model:
    """A file with its tensors, which are random, or one, or zero."""

    def __init__(self, file: Path, architecture: str) -> None:
        self.file = gguf.GGUFWriter(file, architecture)
        self.file.add_file_type(gguf.LlamaFileType.ALL_F32)
        self._random = np.random.default_rng(1)

    def add_random(self, name: str, *shape: int, scale: float = 0.3) -> None:
        self.file.add_tensor(name, (self._random.standard_normal(shape) * scale).astype(np.float32))

    def add_linear(self, name: str, outputs: int, inputs: int) -> None:
        self.add_random(f"{name}.weight", outputs, inputs)
        self.file.add_tensor(f"{name}.bias", np.zeros(outputs, np.float32))

    def add_norm(self, name: str, width: int, *, has_bias: bool) -> None:
        self.file.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        if has_bias:
            self.file.add_tensor(f"{name}.bias", np.zeros(width, np.float32))

    def write(self) -> None:
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def write_language_model(file: Path) -> None:
    model = Model(file, "llama")
    vocabulary = _vocabulary()
    writer = model.file
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_chat_template(CHAT_TEMPLATE)
    _add_tokenizer(writer, vocabulary)
    model.add_random("token_embd.weight", len(vocabulary), WIDTH, scale=1.0)
    model.add_norm("output_norm", WIDTH, has_bias=False)
    model.add_random("output.weight", len(vocabulary), WIDTH)
    for number in range(LAYERS):
        _add_language_layer(model, f"blk.{number}")
    model.write()


def _add_language_layer(model: Model, layer: str) -> None:
    for name in ("attn_norm", "ffn_norm"):
        model.add_norm(f"{layer}.{name}", WIDTH, has_bias=False)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        model.add_random(f"{layer}.{name}.weight", WIDTH, WIDTH)
    for name in ("ffn_gate", "ffn_up"):
        model.add_random(f"{layer}.{name}.weight", INNER, WIDTH)
    model.add_random(f"{layer}.ffn_down.weight", WIDTH, INNER)


def _vocabulary() -> list[tuple[str, float, int]]:
    """Return each token with its score and its kind, as SentencePiece has them."""
    kinds = gguf.TokenType
    special = [("<unk>", 0.0, kinds.UNKNOWN), ("<s>", 0.0, kinds.CONTROL), ("</s>", 0.0, kinds.CONTROL)]
    of_bytes = [(f"<0x{byte:02X}>", 0.0, kinds.BYTE) for byte in range(256)]
    letters = [chr(code) for code in range(33, 127)] + ["\u2581"]  # the last one stands for a space
    of_letters = [(letter, -1000.0 - number, kinds.NORMAL) for number, letter in enumerate(letters)]
    words = [(word, -1.0 - number, kinds.NORMAL) for number, word in enumerate(WORDS)]
    return [(token, score, int(kind)) for token, score, kind in special + of_bytes + of_letters + words]


def _add_tokenizer(writer: gguf.GGUFWriter, vocabulary: list[tuple[str, float, int]]) -> None:
    tokens, scores, kinds = zip(*vocabulary, strict=True)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)


def write_vision_model(file: Path) -> None:
    model = Model(file, "clip")
    writer = model.file
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", "mlp")
    numbers = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "embedding_length": VISION_WIDTH,
        "feed_forward_length": VISION_INNER,
        "projection_dim": WIDTH,
        "block_count": VISION_LAYERS,
        "attention.head_count": VISION_HEADS,
    }
    for name, value in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", EPSILON)
    for name in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{name}", [0.5, 0.5, 0.5])
    model.add_random("v.class_embd", VISION_WIDTH)
    model.add_random("v.patch_embd.weight", VISION_WIDTH, 3, PATCH, PATCH, scale=0.05)
    model.add_random("v.position_embd.weight", (SIDE // PATCH) ** 2 + 1, VISION_WIDTH)
    for name in ("v.pre_ln", "v.post_ln"):
        model.add_norm(name, VISION_WIDTH, has_bias=True)
    for number in range(VISION_LAYERS):
        _add_vision_layer(model, f"v.blk.{number}")
    model.add_linear("mm.0", WIDTH, VISION_WIDTH)
    model.add_linear("mm.2", WIDTH, WIDTH)
    model.write()


def _add_vision_layer(model: Model, layer: str) -> None:
    for name in ("ln1", "ln2"):
        model.add_norm(f"{layer}.{name}", VISION_WIDTH, has_bias=True)
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        model.add_linear(f"{layer}.{name}", VISION_WIDTH, VISION_WIDTH)
    model.add_linear(f"{layer}.ffn_up", VISION_INNER, VISION_WIDTH)
    model.add_linear(f"{layer}.ffn_down", VISION_WIDTH, VISION_INNER)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_language_model(folder / "model.gguf")
    write_vision_model(folder / "mmproj.gguf")
