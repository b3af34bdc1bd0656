"""Which model answers, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EngineSettings(BaseSettings):
    """`checkpoint` is a folder with an Mllama model in safetensors, such as Llama-3.2V-11B-cot.

    `kind` "generate" is transformers' own generate(), batched; "simulated" needs no model and answers in
    `simulated_seconds`. `hang_timeout_s` bounds one decoding step (a batch's prefill included), not an answer.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_ENGINE_", frozen=True, extra="forbid")

    kind: Literal["generate", "simulated"] = "generate"
    checkpoint: Path | None = None
    model_name: str | None = None
    revision: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: Literal["none", "nf4"] = "none"
    max_batch: int = Field(default=8, ge=1, le=512)
    threads: int | None = Field(default=None, ge=1)
    start_timeout_s: float = Field(default=900, gt=0)
    hang_timeout_s: float = Field(default=120, gt=0)
    max_deaths_in_a_row: int = Field(default=20, ge=1)
    simulated_seconds: float = Field(default=0.05, ge=0)
