"""The model's shape, and how its weights start."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightstream.infra.lab.demo_model.tokenizer import END_TURN, IMAGE, PADDING, SPECIAL, VOCABULARY

if TYPE_CHECKING:
    from transformers import MllamaForConditionalGeneration

TILE_SIZE = 128  # pixels a side; up to MAX_TILES of them cover a picture
PATCH_SIZE = 16
MAX_TILES = 4
# As the published checkpoints normalise: CLIP's mean and deviation.
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that decide how many parameters there are."""

    vision_hidden: int = 160
    vision_mlp: int = 480
    vision_heads: int = 5
    vision_layers: int = 6
    global_layers: int = 1
    handed_out: tuple[int, ...] = (3,)
    text_hidden: int = 192
    text_mlp: int = 384  # widths are multiples of 64 or at least 32: 4-bit kernels want it so
    text_heads: int = 6
    text_kv_heads: int = 2
    text_layers: int = 4
    cross_layers: tuple[int, ...] = (1, 3)


FULL = Shape()
TINY = Shape(64, 128, 2, 2, 1, (0,), 64, 128, 2, 1, 2, (1,))  # for tests of the machinery


def demo_config(shape: Shape = FULL) -> Any:
    """The transformers `MllamaConfig` of this shape."""
    from transformers import MllamaConfig
    from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

    ids = {token: VOCABULARY - len(SPECIAL) + 1 + index for index, token in enumerate(SPECIAL)}
    vision = MllamaVisionConfig(
        hidden_size=shape.vision_hidden,
        intermediate_size=shape.vision_mlp,
        num_hidden_layers=shape.vision_layers,
        num_global_layers=shape.global_layers,
        attention_heads=shape.vision_heads,
        intermediate_layers_indices=list(shape.handed_out),
        vision_output_dim=shape.vision_hidden * (1 + len(shape.handed_out)),
        image_size=TILE_SIZE,
        patch_size=PATCH_SIZE,
        max_num_tiles=MAX_TILES,
    )
    text = MllamaTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.text_hidden,
        intermediate_size=shape.text_mlp,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=shape.text_heads,
        num_key_value_heads=shape.text_kv_heads,
        cross_attention_layers=list(shape.cross_layers),
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        max_position_embeddings=2048,
        bos_token_id=ids[SPECIAL[0]],
        eos_token_id=ids[END_TURN],
        pad_token_id=ids[PADDING],
    )
    config = MllamaConfig(vision_config=vision, text_config=text, image_token_index=ids[IMAGE])
    config.architectures = ["MllamaForConditionalGeneration"]
    return config


def fresh_model(shape: Shape = FULL, seed: int = 0) -> "MllamaForConditionalGeneration":
    """A model with new weights, float32.

    Every gate starts near 1 instead of 0, so that the text looks at the picture from the first step on;
    matrices start at 0.8 / sqrt(fan-in), and what is added to the residual stream is scaled down by depth.
    """
    import torch
    from transformers import MllamaForConditionalGeneration

    torch.manual_seed(seed)
    model = MllamaForConditionalGeneration(demo_config(shape)).float()
    depth = {"vision": shape.vision_layers + shape.global_layers, "text": shape.text_layers}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            _start(name, weight, depth["vision" if "vision_model" in name else "text"])
    return model


def _start(name: str, weight: Any, depth: int) -> None:
    if "gate" in name and weight.numel() == 1:
        weight.fill_(0.5 if "gated_positional_embedding" in name else 1.0)
    elif "embed_tokens" in name or ("embedding" in name and "patch" not in name):
        weight.normal_(0, 0.02 if "tile" in name else 0.05)
    elif weight.ndim >= 2:
        weight.normal_(0, 0.8 / math.sqrt(weight[0].numel()))
        if name.endswith(("o_proj.weight", "fc2.weight", "down_proj.weight")):
            weight.mul_(1 / math.sqrt(2 * depth))
