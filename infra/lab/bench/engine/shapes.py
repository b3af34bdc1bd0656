"""Configurations of models whose weights are drawn: the real 11B one, and a small one for tests."""

from __future__ import annotations

from typing import Any, Literal

Scale = Literal["11b", "small"]

_ROPE_11B = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
}
_VISION: dict[Scale, dict[str, Any]] = {
    "11b": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_global_layers": 8,
        "attention_heads": 16,
        "intermediate_layers_indices": [3, 7, 15, 23, 30],
        "vision_output_dim": 7680,
        "image_size": 560,
    },
    "small": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_global_layers": 2,
        "attention_heads": 4,
        "intermediate_layers_indices": [1, 2],
        "vision_output_dim": 192,
        "image_size": 56,
    },
}
_TEXT: dict[Scale, dict[str, Any]] = {
    "11b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 40,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
    },
    "small": {
        "vocab_size": 1024,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "cross_attention_layers": [1, 3],
    },
}


def mllama_config(scale: Scale, special: dict[str, int]) -> Any:
    """A transformers `MllamaConfig` of this scale. `special` gives the ids of `begin`, `padding`, `image` and `end`."""
    from transformers import MllamaConfig
    from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

    vision = MllamaVisionConfig(patch_size=14, max_num_tiles=4, **_VISION[scale])
    text = MllamaTextConfig(
        rope_parameters=dict(_ROPE_11B),
        max_position_embeddings=131_072,
        bos_token_id=special["begin"],
        eos_token_id=special["end"],
        pad_token_id=special["padding"],
        **_TEXT[scale],
    )
    config = MllamaConfig(vision_config=vision, text_config=text, image_token_index=special["image"])
    config.architectures = ["MllamaForConditionalGeneration"]
    return config
