"""The forward pass for training, written out over the transformers model's own weights.

It computes what `MllamaForConditionalGeneration` computes (a test holds the two equal) without caches and copies
of masks, and the text loss only where the answer stands. The heavy pieces are functions of tensors alone
(`PIECES`), so each is compiled once and serves all layers of its sort.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Piece = Callable[..., Any]


def _heads(x: Tensor, heads: int) -> Tensor:
    return torch.unflatten(x, -1, (heads, -1)).transpose(1, 2)


def _norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)


def _rms(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x.float(), x.shape[-1:], weight.float(), 1e-5)


def _embed_patches(tiles: Tensor, scale: Tensor, shift: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
    """Tiles (B, T, 3, S, S) in bytes or floats -> tokens (B, T, patches + 1, width), normalised."""
    kernel, before, first, positions, norm_weight, norm_bias = weights
    pixels = tiles.float() * scale + shift
    size = kernel.shape[-1]
    grid = pixels.shape[-1] // size
    patches = torch.unflatten(torch.unflatten(pixels, -1, (grid, size)), -3, (grid, size))  # B, T, 3, gy, sy, gx, sx
    patches = patches.permute(0, 1, 3, 5, 2, 4, 6).reshape(*tiles.shape[:2], grid * grid, -1)
    x = F.linear(patches, kernel.flatten(1)) + before
    x = torch.cat([first.to(x.dtype).expand(*tiles.shape[:2], 1, -1), x], dim=2)
    return _norm(x + positions, norm_weight, norm_bias)


def _vision_layer(x: Tensor, mask: Tensor, heads: int, weights: tuple[Tensor, ...]) -> Tensor:
    norm1, bias1, q_w, k_w, v_w, o_w, gate1, norm2, bias2, w1, b1, w2, b2, gate2 = weights
    normal = _norm(x, norm1, bias1)
    q, k, v = (_heads(F.linear(normal, weight), heads) for weight in (q_w, k_w, v_w))
    seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))
    x = x + gate1.tanh() * F.linear(seen.transpose(1, 2).flatten(2), o_w)
    grown = F.gelu(F.linear(_norm(x, norm2, bias2), w1, b1))
    return x + gate2.tanh() * F.linear(grown, w2, b2)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.float().chunk(2, dim=-1)
    return (torch.cat([first, second], -1) * cos + torch.cat([-second, first], -1) * sin).to(x.dtype)


def _swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)


def _self_layer(x: Tensor, turns: tuple[Tensor, Tensor], heads: tuple[int, int], weights: tuple[Tensor, ...]) -> Tensor:
    norm1, q_w, k_w, v_w, o_w, norm2, gate, up, down = weights
    normal, times = _rms(x, norm1), heads[0] // heads[1]
    q = _turn(_heads(F.linear(normal, q_w), heads[0]), *turns)
    k = _turn(_heads(F.linear(normal, k_w), heads[1]), *turns).repeat_interleave(times, dim=1)
    v = _heads(F.linear(normal, v_w), heads[1]).repeat_interleave(times, dim=1)
    seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + F.linear(seen.transpose(1, 2).flatten(2), o_w)
    return x + _swiglu(_rms(x, norm2), gate, up, down)


def _cross_layer(
    x: Tensor, states: Tensor, mask: Tensor, after_image: Tensor, heads: tuple[int, int], weights: tuple[Tensor, ...]
) -> Tensor:
    norm1, q_w, k_w, v_w, o_w, q_norm, k_norm, gate1, norm2, gate, up, down, gate2 = weights
    times = heads[0] // heads[1]
    v = _heads(F.linear(states, v_w), heads[1])
    q = _rms(_heads(F.linear(_rms(x, norm1), q_w), heads[0]), q_norm).to(v.dtype)
    k = _rms(_heads(F.linear(states, k_w), heads[1]), k_norm).to(v.dtype)
    seen = F.scaled_dot_product_attention(
        q, k.repeat_interleave(times, dim=1), v.repeat_interleave(times, dim=1), attn_mask=mask.to(v.dtype)
    )
    x = x + gate1.tanh() * F.linear(seen.transpose(1, 2).flatten(2), o_w)
    return x + gate2.tanh() * _swiglu(_rms(x, norm2), gate, up, down) * after_image


def _token_loss(hidden: Tensor, wanted: Tensor, norm: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy where `wanted` is not -100; and for each row whether the likeliest tokens are all right."""
    logits = F.linear(_rms(hidden, norm), output).float()
    loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100)
    return loss, ((logits.argmax(-1) == wanted) | (wanted == -100)).all(1)


PIECES: dict[str, Piece] = {
    "embed_patches": _embed_patches,
    "vision_layer": _vision_layer,
    "self_layer": _self_layer,
    "cross_layer": _cross_layer,
    "token_loss": _token_loss,
}


def compiled_pieces() -> dict[str, Piece]:
    """The same pieces behind `torch.compile`, one graph for each shape that occurs."""
    return {name: torch.compile(piece, dynamic=False) for name, piece in PIECES.items()}


def _vision_weights(layer: Any, one: Tensor) -> tuple[Tensor, ...]:
    attention, mlp = layer.self_attn, layer.mlp
    first, second = layer.input_layernorm, layer.post_attention_layernorm
    gates = (
        (layer.gate_attn * one, layer.gate_ffn * one) if layer.is_gated else (one * 20, one * 20)
    )  # tanh(20) is 1: no gate
    return (
        *(first.weight, first.bias, attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight),
        *(attention.o_proj.weight, gates[0], second.weight, second.bias, mlp.fc1.weight, mlp.fc1.bias),
        *(mlp.fc2.weight, mlp.fc2.bias, gates[1]),
    )


def see(
    model: Any,
    tiles: Tensor,
    aspect: Tensor,
    tile_mask: Tensor,
    scale: Tensor,
    shift: Tensor,
    pieces: dict[str, Piece] = PIECES,
) -> Tensor:
    """What the text looks at: states of shape (B, tokens, text hidden).

    `tiles` (B, T, 3, S, S) become pixels as tiles * scale + shift (both must be 0 for missing tiles); `aspect`
    (B,) holds aspect ratio ids, `tile_mask` (B, T) is true for a picture's own tiles.
    """
    vision = model.model.vision_model
    batch, count, width = len(tiles), tiles.shape[1], vision.hidden_size
    before, after = vision.pre_tile_positional_embedding, vision.post_tile_positional_embedding
    embedding = vision.gated_positional_embedding
    gate = embedding.gate.tanh()
    positions = (1 - gate) * embedding.embedding + gate * embedding.tile_embedding(aspect).view(batch, count, -1, width)
    weights = (
        *(vision.patch_embedding.weight, before.gate.tanh() * before.embedding(aspect).view(batch, count, 1, width)),
        *(vision.class_embedding, positions, vision.layernorm_pre.weight, vision.layernorm_pre.bias),
    )
    x = pieces["embed_patches"](tiles, scale, shift, weights)
    tokens, padding = x.shape[2], -x.shape[2] % 8
    real = F.pad(torch.ones(tokens, device=x.device, dtype=torch.bool), (0, padding))
    valid = (tile_mask[:, :, None] & real).flatten(1)
    # Only a padded token looking at a padded token is masked: that is Mllama's own rule.
    mask = torch.where(valid[:, None, :, None] | valid[:, None, None, :], 0.0, -30000.0)
    mask = mask.bfloat16() if torch.is_autocast_enabled(x.device.type) else mask
    x = F.pad(x, (0, 0, 0, padding)).flatten(1, 2)
    one = torch.ones_like(gate)
    between = []
    for index, layer in enumerate(vision.transformer.layers):
        x = pieces["vision_layer"](x, mask, layer.self_attn.num_heads, _vision_weights(layer, one))
        if index in vision.intermediate_layers_indices:
            between.append(x)
    x = _norm(x, vision.layernorm_post.weight, vision.layernorm_post.bias)
    shift_after = after.gate.tanh() * after.embedding(aspect).view(batch, count, 1, width)
    x = (x.view(batch, count, tokens + padding, width) + shift_after).flatten(1, 2)
    for layer in vision.global_transformer.layers:
        x = pieces["vision_layer"](x, mask, layer.self_attn.num_heads, _vision_weights(layer, one))
    out = torch.cat([x, *between], dim=-1).view(batch, count, tokens + padding, -1)[:, :, :tokens]
    projector = model.model.multi_modal_projector
    return F.linear(out, projector.weight, projector.bias).flatten(1, 2)


def _attention_weights(attention: Any) -> tuple[Tensor, ...]:
    return attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight, attention.o_proj.weight


def _mlp_weights(mlp: Any) -> tuple[Tensor, ...]:
    return mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight


def say(model: Any, tokens: Tensor, states: Tensor, tile_mask: Tensor, pieces: dict[str, Piece] = PIECES) -> Tensor:
    """Right-padded token ids (B, L) and states from `see` -> hidden states (B, L, text hidden) before the last norm."""
    text = model.model.language_model
    x = text.embed_tokens(tokens)
    heads = (text.config.num_attention_heads, text.config.num_key_value_heads)
    angles = torch.arange(tokens.shape[1], device=x.device)[:, None] * text.rotary_emb.inv_freq.float()
    angles = torch.cat([angles, angles], dim=-1)
    turns = (angles.cos(), angles.sin())
    after_image = (tokens == model.config.image_token_index).cumsum(1) > 0
    valid = tile_mask.repeat_interleave(states.shape[1] // tile_mask.shape[1], dim=1)
    # What stands before the image looks at every tile, even empty ones: transformers' reading of the mask.
    mask = torch.where(valid[:, None, None, :] | ~after_image[:, None, :, None], 0.0, -30000.0)
    mask = mask.bfloat16() if torch.is_autocast_enabled(x.device.type) else mask
    shown = after_image[..., None].to(x.dtype)
    for index, layer in enumerate(text.layers):
        first, second = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        if index in text.cross_attention_layers:
            attention = layer.cross_attn
            weights = (
                *(first, *_attention_weights(attention), attention.q_norm.weight, attention.k_norm.weight),
                *(layer.cross_attn_attn_gate, second, *_mlp_weights(layer.mlp), layer.cross_attn_mlp_gate),
            )
            x = pieces["cross_layer"](x, states, mask, shown, heads, weights)
        else:
            weights = (first, *_attention_weights(layer.self_attn), second, *_mlp_weights(layer.mlp))
            x = pieces["self_layer"](x, turns, heads, weights)
    states_out: Tensor = x
    return states_out


def answer_loss(
    model: Any,
    tokens: Tensor,
    starts: Tensor,
    lengths: Tensor,
    states: Tensor,
    tile_mask: Tensor,
    max_tokens: int,
    pieces: dict[str, Piece] = PIECES,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the answers, and which answers are right token by token.

    `starts` is where each answer's first token stands, `lengths` how many tokens it has (at most `max_tokens`).
    An answer all of whose tokens are the likeliest ones is what greedy generation would write.
    """
    hidden = say(model, tokens, states, tile_mask, pieces)
    steps = torch.arange(max_tokens, device=tokens.device)
    at = (starts[:, None] + steps).clamp(max=tokens.shape[1] - 1)
    wanted = torch.where(steps < lengths[:, None], tokens.gather(1, at), -100)
    before = (at - 1)[..., None].expand(-1, -1, hidden.shape[-1])
    norm = model.model.language_model.norm.weight
    loss, exact = pieces["token_loss"](hidden.gather(1, before), wanted, norm, model.lm_head.weight)
    return loss, exact
