"""How much work decoding a file will be, and how much it may be, judged before any of it is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.pipeline.decode.pixel_count import bound_jpeg, count_jpeg, count_pixels, has_many_chunks
from sightstream.pipeline.decode.sniff import sniff
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

# CPU nanoseconds per pixel, with alpha and large files: what each format costs on a common core.
_PIXEL_NS = {"JPEG": 10, "PNG": 50, "WEBP": 80, "GIF": 10, "BMP": 5, "TIFF": 20, "AVIF": 60, "HEIC": 90}
_SCAN_PIXEL_NS, _SCAN_NS = 1.3, 20_000
# The budget of a file, far above the costliest ordinary one. Where a core is slower, twice of it is not exceeded.
_BUDGET_PIXEL_NS, _BUDGET_NS = 250, 5e8
_SLOWER_CORE = 2
SLOW_S = 0.3


@dataclass(frozen=True, slots=True)
class Work:
    """CPU seconds: those that are expected, None if the file does not say; and those after which it is given up."""

    expected_s: float | None
    limit_s: float

    @property
    def is_slow(self) -> bool:
        """Whether other files should not wait for this one."""
        return self.expected_s is None or self.expected_s > SLOW_S


def estimate_work(data: bytes, timeout_s: float) -> Work:
    """Return the work of decoding a file, at most. What is no image costs nothing, since its first bytes end it."""
    try:
        kind = sniff(data)
    except Rejected:
        return Work(0, timeout_s)
    pixels, scans = (bound_jpeg(data) or (None, 1)) if kind == "JPEG" else (count_pixels(data, kind), 1)
    if pixels is None:
        return Work(None, timeout_s)
    expected_ns = pixels * _PIXEL_NS[kind] + (scans - 1) * _scan_ns(pixels)
    expected_s = None if kind == "PNG" and has_many_chunks(data) else expected_ns / 1e9
    return Work(expected_s, min(timeout_s, _SLOWER_CORE * _budget_ns(pixels) / 1e9))


def check_scans(data: bytes) -> None:
    """Raise Rejected for a JPEG whose scans exceed its budget. Takes long where there are many: for the child."""
    pixels, scans = count_jpeg(data, _most_scans) or (0, 1)
    if scans > _most_scans(pixels):
        detail = f"its scans make a decoder visit {scans * pixels} pixels or more, too many for an image of {pixels}"
        raise Rejected(Reason.TOO_MANY_PIXELS, Stage.DECODE, detail)


def _most_scans(pixels: int) -> float:
    return _budget_ns(pixels) / _scan_ns(pixels)


def _budget_ns(pixels: int) -> float:
    return _BUDGET_NS + pixels * _BUDGET_PIXEL_NS


def _scan_ns(pixels: int) -> float:
    return pixels * _SCAN_PIXEL_NS + _SCAN_NS
