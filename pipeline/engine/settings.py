"""Settings of the engine: which model answers, where, and within which limits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class EngineSettings(BaseSettings):
    """Chooses the engine and its model. Every field says for which engines it counts, if not for all of them."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_ENGINE_", frozen=True, extra="forbid")

    kind: Literal["slots", "generate", "remote", "simulated"] = Field(
        "slots",
        description=(
            'The engine: "slots" is continuous batching, the fast one; "generate" is transformers\' own '
            'generate() in batches; "remote" asks an OpenAI-compatible server; "simulated" needs no model and'
            " is for tests."
        ),
    )
    checkpoint: Path | None = Field(
        None,
        description=(
            'Folder with a model in safetensors. The engine "slots" runs Mllama, such as Llama-3.2V-11B-cot, '
            '"generate" any image-text-to-text model of transformers. Required by both. "simulated" gets its images '
            "as a model with this folder's image processor would."
        ),
    )
    model_name: str | None = Field(
        None,
        description=(
            "Name of the model in results. Unset, it is the name of the checkpoint's folder, or of the nearest one "
            'above that says more than "checkpoint"; of a server, the model\'s name there. Set it when folders are '
            "named by host or date."
        ),
    )
    revision: str | None = Field(
        None,
        description="Revision of the model in results, for people to tell versions apart. Unset, results have none.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description=(
            'Device that runs the model. "auto" is the GPU where there is one, else the CPU. Set it to "cuda"'
            " to stop at the start when no GPU is found."
        ),
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description=(
            'Precision of weights and arithmetic. "auto" is bfloat16 on a GPU and float32 on a CPU. Change it'
            " only for a GPU without bfloat16."
        ),
    )
    quantization: Literal["none", "nf4", "int8"] = Field(
        "none",
        description=(
            'Quantization of the text model\'s weights. "nf4" and "int8" need less GPU memory and are slower. '
            "Set it when the model does not fit in full."
        ),
    )
    max_batch: int | None = Field(
        None,
        ge=1,
        le=512,
        description=(
            "Most answers that are generated at once. Unset, as many as the GPU's free memory holds, and 8 on"
            " a CPU or a remote server. Raise it for a remote server that batches more."
        ),
    )
    guided_sections: bool = Field(
        True,
        description=(
            'Whether every answer is made to have its four sections (engine "slots" only). Turn it off for a '
            "model that was not trained on them."
        ),
    )
    section_separator: str | None = Field(
        None,
        description=(
            "Text between the sections of a guided answer. Unset, the one in the checkpoint's "
            "generation_config.json, else a blank line. Set it when the model was trained with another."
        ),
    )
    slot_tokens: int = Field(
        640,
        ge=64,
        description=(
            "Tokens of prompt and answer that are planned per answer when slots are sized. Longer answers "
            "leave memory for fewer others beside them. Raise it when most token limits are higher."
        ),
    )
    memory_gib: float | None = Field(
        None,
        gt=0,
        description=(
            "Most GPU memory that the engine uses, in GiB. Unset, all that is free. Set it when other "
            "programs use the same GPU."
        ),
    )
    cross_kv: Literal["full", "fp8"] = Field(
        "full",
        description=(
            'Precision in which an image\'s keys and values are kept while its answer is generated. "fp8" '
            "halves their memory, so that more answers fit, at a small loss."
        ),
    )
    encoder_cache_mib: int = Field(
        1024,
        ge=0,
        description=(
            "GPU memory, in MiB, for encoded images that further questions may be about; 0 caches none. Set "
            "it to 0 when every image has one question."
        ),
    )
    overlap_prefill: bool = Field(
        True,
        description=(
            "Whether new images are encoded while answers are generated; otherwise one waits for the other. "
            "Turn it off only to compare."
        ),
    )
    threads: int | None = Field(
        None,
        ge=1,
        description=(
            "CPU threads that the model uses. Unset, torch decides. Lower it when several workers share a CPU."
        ),
    )
    start_timeout_s: float = Field(
        900,
        gt=0,
        description=(
            "Longest start of the engine, in seconds, until its model is loaded or its server answers. Raise "
            "it for slow disks."
        ),
    )
    hang_timeout_s: float = Field(
        120,
        gt=0,
        description=(
            "Longest time, in seconds, that a busy engine may show no progress before its process is "
            "replaced. It bounds one decoding step, a batch's prefill included, and not an answer."
        ),
    )
    max_consecutive_crashes: int = Field(
        20,
        ge=1,
        description="Crashes of the engine's process without an answer between them after which the worker stops; as"
        " many kills from outside stop it, too.",
    )
    canary_interval_s: float = Field(
        60,
        gt=0,
        description="Seconds after which an idle engine gets its known-good job again. Raise it to spare a model "
        "server that costs money.",
    )
    canary_timeout_s: float = Field(
        60,
        gt=0,
        description="Seconds after which an answer to the known-good job is late, so that /readyz fails; it replaces "
        "nothing.",
    )
    canary_file: Path | None = Field(
        None,
        description="Text file with the beginning of the right answer to the known-good job; an empty one accepts any. "
        "Unset, it is the checkpoint's own canary.txt, or what the first healthy start on this card recorded in "
        "state_dir of [worker]. Set it when a model's answer changes on purpose.",
    )
    remote_url: str | None = Field(
        None, description='Base URL of the model server, such as http://gpu-7:8000/v1. Required by the engine "remote".'
    )
    remote_model: str | None = Field(
        None,
        description=(
            "Name of the model on the server. Unset, the only one that the server lists. Set it when there are several."
        ),
    )
    remote_api_key: SecretStr | None = Field(
        None, description="Key that is sent to the model server as a bearer token. Unset, none is sent."
    )
    remote_ca_file: Path | None = Field(
        None,
        description=(
            "File with the certificate authorities that are trusted for the model server, in PEM. Unset, the "
            "public ones. Set it for a server with a private certificate."
        ),
    )
    remote_image: Literal["png", "jpeg"] = Field(
        "png",
        description=(
            'Format of the images sent to the model server. "jpeg" is a quarter of the bytes, at a small loss.'
        ),
    )
    remote_choices: Literal["json_schema", "structured_outputs"] = Field(
        "json_schema",
        description=(
            "How the model server is told the choices of a closed question: as a JSON schema, which every server with "
            'schemas understands, or "structured_outputs", vLLM\'s own field, which costs fewer tokens.'
        ),
    )
    remote_timeout_s: float = Field(
        300,
        gt=0,
        description=(
            "Longest time for one answer of the model server, in seconds, connecting and queueing there included."
        ),
    )
    simulated_s: float = Field(
        0.05, ge=0, description="Seconds that the simulated engine takes for a batch. It counts for that engine only."
    )

    @property
    def batch(self) -> int:
        """Return `max_batch`, or the number that suits where nothing else decides."""
        return self.max_batch or 8
