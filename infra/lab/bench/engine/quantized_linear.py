"""Linear layers in bitsandbytes' formats, put where transformers would put them, filled without a file."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import nn


def as_transformers_would(
    model: Any, kind: Literal["nf4", "int8"], dtype: torch.dtype, kept_in_full: list[str] | None
) -> None:
    """Replaces `model`'s linear layers, all still on the meta device, by empty quantized ones."""
    from transformers.quantizers import AutoHfQuantizer

    config = bitsandbytes_config(kind, dtype, kept_in_full)
    quantizer = AutoHfQuantizer.from_config(config, pre_quantized=False)
    quantizer.preprocess_model(model=model, device_map={"": "cpu"})
    quantizer.postprocess_model(model)


def bitsandbytes_config(kind: Literal["nf4", "int8"], dtype: torch.dtype, kept_in_full: list[str] | None) -> Any:
    """A transformers `BitsAndBytesConfig`. `kept_in_full` None is what tutorials do: transformers decides."""
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0, llm_int8_skip_modules=kept_in_full)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=kept_in_full is not None,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=kept_in_full,
    )


def quantized_weight(module: nn.Module, name: str, full: torch.Tensor) -> nn.Parameter | None:
    """`full` as `module` stores it; None for whatever is stored as it is."""
    kind = type(module).__name__
    if name != "weight" or kind not in ("Linear4bit", "Linear8bitLt"):
        return None
    import bitsandbytes as bnb

    old: Any = module.weight
    if kind == "Linear8bitLt":  # only a weight that comes from the CPU is quantized on its way
        int8 = bnb.nn.Int8Params(full.cpu(), requires_grad=False, has_fp16_weights=old.has_fp16_weights)
        return cast("nn.Parameter", int8.to(full.device))
    nf4 = bnb.nn.Params4bit(
        full,
        requires_grad=False,
        quant_type=old.quant_type,
        compress_statistics=old.compress_statistics,
        quant_storage=old.quant_storage,
        module=module,
    )
    return cast("nn.Parameter", nf4.to(full.device))
