"""Derives figures from several parts: how many times faster, and how near to the machine's limits."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.infra.lab.bench.engine.cost_model import MllamaShape, encode_flops, prefill_flops
from sightstream.infra.lab.bench.engine.figures import Figure, Report
from sightstream.infra.lab.bench.engine.floors import Ceilings, Load, Storage, decode_step_floor_s, image_floor


@dataclass(frozen=True, slots=True)
class _Ratio:
    name: str
    over: tuple[str, str]
    under: tuple[str, str]
    how: str


_RATIOS = (
    _Ratio("times_the_tutorial", ("slots", "images_per_s"), ("seed", "images_per_s"), "images/s over the tutorial's"),
    _Ratio("times_the_stock_batch", ("slots", "images_per_s"), ("stock", "images_per_s"), "images/s over its best"),
    _Ratio("mixed_share", ("lengths", "tokens_per_s"), ("slots", "tokens_per_s"), "tokens/s, mixed over fixed lengths"),
    _Ratio("hosted_share", ("hosted", "images_per_s"), ("slots", "images_per_s"), "images/s, child over same process"),
)


def derive(report: Report) -> tuple[Figure, ...]:
    """Those that belong to a part of the run; without a value, and with the reason, where another part is missing."""
    figures = [_ratio(report, ratio) for ratio in _RATIOS if ratio.over[0] in report.parts]
    if {"slots", "decode", "prefill", "vision"} & report.parts.keys():
        figures += _fractions(report)
    return tuple(figures)


def _ratio(report: Report, ratio: _Ratio) -> Figure:
    over, under = report.value(*ratio.over), report.value(*ratio.under)
    lacking = [part for (part, _), value in ((ratio.over, over), (ratio.under, under)) if not value]
    if not over or not under:
        return Figure(ratio.name, None, "times", f"needs the parts {lacking}")
    return Figure(ratio.name, over / under, "times", ratio.how)


def _fractions(report: Report) -> list[Figure]:
    bandwidth = report.value("ceilings", "copy_bytes_per_s")
    rate = report.value("ceilings", "matrix_flops_per_s")
    if not bandwidth or not rate or not report.model:
        return [Figure("share_of_roofline", None, "share", "needs the part ceilings, and a model that was loaded")]
    fractions = _Fractions(report, Ceilings(bandwidth, rate))
    return [*fractions.encode_fractions(), *fractions.decode_fractions(), *fractions.image_fractions()]


class _Fractions:
    """Ceilings, and the model and workload that met them."""

    def __init__(self, report: Report, ceilings: Ceilings) -> None:
        settings = report.command["settings"]
        self._report, self._ceilings = report, ceilings
        self._shape = MllamaShape(**report.model["shape"])
        full = report.model["bytes_a_number"]
        self._storage = Storage(settings["quantization"], full, 1 if settings["cross_kv"] == "fp8" else full)
        self._tiles, self._tokens = report.command["sizes"]["tiles"], report.command["sizes"]["tokens"]
        self._prompt = report.model["prompt_tokens"]

    def decode_fractions(self) -> list[Figure]:
        figures = []
        so_far = self._prompt + (self._report.detail("decode", "tokens_so_far") or 0)
        for slots, seconds in (self._report.detail("decode", "steps_s") or {}).items():
            load = Load(int(slots), self._tiles, so_far)
            floor = decode_step_floor_s(self._shape, self._storage, load, self._ceilings)
            how = f"floor {floor * 1e3:.2f} ms (bytes that a step must read at the measured copy bandwidth) / measured"
            figures.append(Figure(f"decode_step_share_{slots}_slots", floor / seconds, "share", how))
        return figures

    def encode_fractions(self) -> list[Figure]:
        work = {"vision": encode_flops(self._shape), "prefill": prefill_flops(self._shape, self._prompt)}
        return [
            self._flops_fraction(part, flops, seconds)
            for part, flops in work.items()
            if (seconds := self._report.value(part, "image_s")) is not None
        ]

    def _flops_fraction(self, part: str, flops: float, seconds: float) -> Figure:
        floor = flops / self._ceilings.flops_per_s
        how = f"floor {floor * 1e3:.2f} ms ({flops / 1e12:.4g} TFLOP at the measured matrix rate) / measured"
        return Figure(f"{part}_share", floor / seconds, "share", how)

    def image_fractions(self) -> list[Figure]:
        rate, slots = self._report.value("slots", "images_per_s"), self._report.detail("slots", "slots")
        if rate is None or slots is None:
            return []
        load = Load(slots, self._tiles, self._prompt + self._tokens / 2)
        floor = image_floor(self._shape, self._storage, load, self._ceilings, self._prompt, self._tokens)
        parts = f"arithmetic {floor.arithmetic_s * 1e3:.1f} ms, memory {floor.memory_s * 1e3:.1f} ms per image"
        return [
            Figure("share_of_serial_floor", rate * floor.serial_s, "share", f"of the sum of {parts}"),
            Figure("share_of_roofline", rate * floor.overlapped_s, "share", f"of the larger of {parts}"),
        ]
