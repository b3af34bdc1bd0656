"""Which model answers, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class EngineSettings(BaseSettings):
    """`checkpoint` is a folder with an Mllama model in safetensors, such as Llama-3.2V-11B-cot.

    `kind` "slots" is continuous batching, the fast one; "generate" is transformers' own generate(), batched; "remote"
    asks an OpenAI-compatible server; "simulated" needs no model and answers in `simulated_s`.
    `max_batch` answers are written at once; unset, as many as the GPU's free memory holds (8 on a CPU).
    `guided_sections` makes every answer have its four sections ("slots" only), with what the model was taught to
    write between them, `section_separator`; unset, what the checkpoint's generation_config.json says under that name,
    else a blank line, as LLaVA-CoT does.
    `slot_tokens` of prompt and answer are reckoned per answer when slots are sized; longer ones, by their token limit,
    leave room for fewer beside them.
    `memory_gib` bounds the GPU memory that is used; unset, all that is free.
    `cross_kv` "fp8" halves what an image takes while its answer is written, at a small loss.
    `encoder_cache_mib` holds encoded images for further questions about them.
    `overlap_prefill` looks at new images while answers are written; else the one waits for the other.
    `hang_timeout_s` bounds one decoding step (a batch's prefill included), not an answer.
    `remote_url` is the server's base address, such as http://gpu-7:8000/v1; `max_batch` questions are put to it at
    once. `remote_model` is the model's name there; unset, the only one that the server lists. `remote_ca_file` is
    trusted instead of the public authorities. `remote_image` "jpeg" is a quarter of the bytes at a small loss.
    `remote_timeout_s` bounds one answer, connecting and waiting for a place included.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_ENGINE_", frozen=True, extra="forbid")

    kind: Literal["slots", "generate", "remote", "simulated"] = "slots"
    checkpoint: Path | None = None
    model_name: str | None = None
    revision: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: Literal["none", "nf4", "int8"] = "none"
    max_batch: int | None = Field(default=None, ge=1, le=512)
    guided_sections: bool = True
    section_separator: str | None = None
    slot_tokens: int = Field(default=640, ge=64)
    memory_gib: float | None = Field(default=None, gt=0)
    cross_kv: Literal["full", "fp8"] = "full"
    encoder_cache_mib: int = Field(default=1024, ge=0)
    overlap_prefill: bool = True
    threads: int | None = Field(default=None, ge=1)
    start_timeout_s: float = Field(default=900, gt=0)
    hang_timeout_s: float = Field(default=120, gt=0)
    max_consecutive_crashes: int = Field(default=20, ge=1)
    remote_url: str | None = None
    remote_model: str | None = None
    remote_api_key: SecretStr | None = None
    remote_ca_file: Path | None = None
    remote_image: Literal["png", "jpeg"] = "png"
    remote_timeout_s: float = Field(default=300, gt=0)
    simulated_s: float = Field(default=0.05, ge=0)

    @property
    def batch(self) -> int:
        """`max_batch`, or what suits where nothing else says."""
        return self.max_batch or 8
