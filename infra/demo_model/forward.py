"""The forward pass for training, written out over the transformers model's own weights.

It computes what `MllamaForConditionalGeneration` computes (a test holds the two equal), in a form that compiles
into few kernels: no caches, no copies of masks, and the text loss only where the answer stands.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _vision_layer(layer: Any, x: Tensor, mask: Tensor) -> Tensor:
    attention = layer.self_attn
    normal = F.layer_norm(x, x.shape[-1:], layer.input_layernorm.weight, layer.input_layernorm.bias, 1e-5)
    q, k, v = (
        _heads(F.linear(normal, p.weight), attention.num_heads)
        for p in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))
    seen = F.linear(seen.transpose(1, 2).flatten(2), attention.o_proj.weight)
    x = x + (layer.gate_attn.tanh() * seen if layer.is_gated else seen)
    norm = layer.post_attention_layernorm
    normal = F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, 1e-5)
    grown = F.gelu(F.linear(normal, layer.mlp.fc1.weight, layer.mlp.fc1.bias))
    grown = F.linear(grown, layer.mlp.fc2.weight, layer.mlp.fc2.bias)
    return x + (layer.gate_ffn.tanh() * grown if layer.is_gated else grown)


def see(model: Any, pixels: Tensor, aspect: Tensor, tile_mask: Tensor) -> Tensor:
    """Pixels (B, tiles, 3, S, S), aspect ids (B,), tile mask (B, tiles) bool -> what the text looks at.

    The states have the shape (B, tokens, text hidden).
    """
    vision = model.model.vision_model
    batch, tiles = pixels.shape[:2]
    size, width = vision.patch_size, vision.hidden_size
    grid = pixels.shape[-1] // size
    patches = pixels.unflatten(-1, (grid, size)).unflatten(-3, (grid, size))  # B, T, 3, gy, sy, gx, sx
    patches = patches.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, tiles, grid * grid, -1)
    x = F.linear(patches, vision.patch_embedding.weight.flatten(1))
    before = vision.pre_tile_positional_embedding
    x = x + before.gate.tanh() * before.embedding(aspect).view(batch, tiles, 1, width)
    x = torch.cat([vision.class_embedding.to(x.dtype).expand(batch, tiles, 1, width), x], dim=2)
    place = vision.gated_positional_embedding
    gate, count = place.gate.tanh(), x.shape[2]
    x = x + (1 - gate) * place.embedding + gate * place.tile_embedding(aspect).view(batch, tiles, count, width)
    x = F.layer_norm(x, (width,), vision.layernorm_pre.weight, vision.layernorm_pre.bias, 1e-5)
    padding = -count % 8
    x = F.pad(x, (0, 0, 0, padding)).flatten(1, 2)
    real = F.pad(torch.ones(count, device=x.device, dtype=torch.bool), (0, padding))
    valid = (tile_mask[:, :, None] & real).flatten(1)
    # Only a padded token looking at a padded token is masked: that is Mllama's own rule.
    mask = torch.where(valid[:, None, :, None] | valid[:, None, None, :], 0.0, -30000.0)
    between = []
    for index, layer in enumerate(vision.transformer.layers):
        x = _vision_layer(layer, x, mask)
        if index in vision.intermediate_layers_indices:
            between.append(x)
    x = F.layer_norm(x, (width,), vision.layernorm_post.weight, vision.layernorm_post.bias, 1e-5)
    after = vision.post_tile_positional_embedding
    shifted = x.view(batch, tiles, count + padding, width) + after.gate.tanh() * after.embedding(aspect).view(
        batch, tiles, 1, width
    )
    x = shifted.flatten(1, 2)
    for layer in vision.global_transformer.layers:
        x = _vision_layer(layer, x, mask)
    out = torch.cat([x, *between], dim=-1).view(batch, tiles, count + padding, -1)[:, :, :count]
    projector = model.model.multi_modal_projector
    return F.linear(out, projector.weight, projector.bias).flatten(1, 2)


def _rms(x: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(x.float(), x.shape[-1:], norm.weight.float(), norm.variance_epsilon)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.float().chunk(2, dim=-1)
    return (torch.cat([first, second], -1) * cos + torch.cat([-second, first], -1) * sin).to(x.dtype)


def _repeat(x: Tensor, times: int) -> Tensor:
    return x.repeat_interleave(times, dim=1)


def _self_attention(attention: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    q = _turn(_heads(F.linear(x, attention.q_proj.weight), attention.num_heads), cos, sin)
    k = _turn(_heads(F.linear(x, attention.k_proj.weight), attention.num_key_value_heads), cos, sin)
    v = _heads(F.linear(x, attention.v_proj.weight), attention.num_key_value_heads)
    groups = attention.num_key_value_groups
    seen = F.scaled_dot_product_attention(q, _repeat(k, groups), _repeat(v, groups), is_causal=True)
    return F.linear(seen.transpose(1, 2).flatten(2), attention.o_proj.weight)


def _cross_attention(attention: Any, x: Tensor, states: Tensor, mask: Tensor) -> Tensor:
    q = _rms(_heads(F.linear(x, attention.q_proj.weight), attention.num_heads), attention.q_norm)
    k = _rms(_heads(F.linear(states, attention.k_proj.weight), attention.num_key_value_heads), attention.k_norm)
    v = _heads(F.linear(states, attention.v_proj.weight), attention.num_key_value_heads)
    groups = attention.num_key_value_groups
    seen = F.scaled_dot_product_attention(
        q.to(v.dtype), _repeat(k.to(v.dtype), groups), _repeat(v, groups), attn_mask=mask.to(v.dtype)
    )
    return F.linear(seen.transpose(1, 2).flatten(2), attention.o_proj.weight)


def _mlp(mlp: Any, x: Tensor) -> Tensor:
    grown = F.silu(F.linear(x, mlp.gate_proj.weight)) * F.linear(x, mlp.up_proj.weight)
    return F.linear(grown, mlp.down_proj.weight)


def say(model: Any, tokens: Tensor, states: Tensor, tile_mask: Tensor) -> Tensor:
    """Right-padded token ids (B, L) and states from `see` -> last hidden states (B, L, text hidden), normalised."""
    text = model.model.language_model
    x = text.embed_tokens(tokens)
    length = tokens.shape[1]
    angles = torch.arange(length, device=x.device, dtype=torch.float32)[:, None] * text.rotary_emb.inv_freq.float()
    angles = torch.cat([angles, angles], dim=-1)
    cos, sin = angles.cos(), angles.sin()
    after_image = ((tokens == model.config.image_token_index).cumsum(1) > 0)[:, None, :, None]  # B, 1, L, 1
    valid = tile_mask.repeat_interleave(states.shape[1] // tile_mask.shape[1], dim=1)[:, None, None, :]
    # What stands before the image looks at every tile, even empty ones: transformers' reading of the mask.
    mask = torch.where(valid | ~after_image, 0.0, -30000.0)
    for index, layer in enumerate(text.layers):
        normal = _rms(x, layer.input_layernorm)
        if index in text.cross_attention_layers:
            x = x + layer.cross_attn_attn_gate.tanh() * _cross_attention(layer.cross_attn, normal, states, mask)
            grown = _mlp(layer.mlp, _rms(x, layer.post_attention_layernorm))
            x = x + layer.cross_attn_mlp_gate.tanh() * grown * after_image[:, 0].to(grown.dtype)
        else:
            x = x + _self_attention(layer.self_attn, normal, cos, sin)
            x = x + _mlp(layer.mlp, _rms(x, layer.post_attention_layernorm))
    return _rms(x, text.norm)


class Heads(nn.Module):
    """Small classifiers on the states, one learned query each; for training only, never exported."""

    def __init__(self, width: int, targets: dict[str, int], heads: int = 6) -> None:
        super().__init__()
        self.sizes = tuple(targets.values())
        self.heads = heads
        self.query = nn.Parameter(torch.randn(len(targets), width) * 0.5)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.grow = nn.Linear(width, 2 * width)
        self.shrink = nn.Linear(2 * width, width)
        self.out = nn.Parameter(torch.randn(len(targets), width, max(self.sizes)) * 0.02)

    def forward(self, states: Tensor, tile_mask: Tensor) -> Tensor:
        """States (B, tokens, width) -> logits (B, targets, most classes)."""
        valid = tile_mask.repeat_interleave(states.shape[1] // tile_mask.shape[1], dim=1)[:, None, None, :]
        mask = torch.where(valid, 0.0, -30000.0)
        k = _heads(self.key(F.rms_norm(states, states.shape[-1:])), self.heads)
        v = _heads(self.value(states), self.heads)
        q = _heads(self.query[None].to(k.dtype).expand(len(states), -1, -1), self.heads)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(k.dtype)).transpose(1, 2).flatten(2)
        seen = seen + self.query
        x = seen + self.shrink(F.gelu(self.grow(F.rms_norm(seen, seen.shape[-1:]))))
        return torch.einsum("btw,twc->btc", x, self.out.to(x.dtype))

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy over all targets that are not -1."""
        total = logits.new_zeros((), dtype=torch.float32)
        for index, size in enumerate(self.sizes):
            total = total + F.cross_entropy(logits[:, index, :size].float(), targets[:, index].long(), ignore_index=-1)
        return total / len(self.sizes)


def answer_loss(  # noqa: PLR0913, PLR0917 - tensors of one batch, and where they are used
    model: Any, tokens: Tensor, starts: Tensor, lengths: Tensor, states: Tensor, tile_mask: Tensor, room: int
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the answers, and which answers are right token by token.

    `starts` is where each answer's first token stands, `lengths` how many tokens it has (at most `room`).
    An answer all of whose tokens are the likeliest ones is what greedy generation would write.
    """
    hidden = say(model, tokens, states, tile_mask)
    steps = torch.arange(room, device=tokens.device)
    at = (starts[:, None] + steps).clamp(max=tokens.shape[1] - 1)
    asked = steps < lengths[:, None]
    wanted = torch.where(asked, tokens.gather(1, at), -100)
    before = (at - 1)[..., None].expand(-1, -1, hidden.shape[-1])
    logits = F.linear(hidden.gather(1, before), model.lm_head.weight).float()
    loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=-100)
    exact = ((logits.argmax(-1) == wanted) | ~asked).all(1)
    return loss, exact
