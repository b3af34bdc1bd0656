"""Product pictures drawn from labels: the training and test data of the demo model, and the demo's shop.

rng = random.Random(7)
spec = sample_spec(rng, "test")   # labels (kind, colour, pattern, count, price, damage, sale), size, seed
image = draw(spec)                # a Pillow RGB image
"""

from sightstream.infra.lab.demo_model.pictures.scene import draw
from sightstream.infra.lab.demo_model.pictures.spec import Labels, PictureSpec, Split, sample_spec
from sightstream.infra.lab.demo_model.pictures.vocabulary import (
    COLOURS,
    DAMAGES,
    KINDS,
    MAX_COUNT,
    NO_PRODUCT,
    PATTERNS,
    UNKNOWN,
    is_held_out,
)

__all__ = [
    "COLOURS",
    "DAMAGES",
    "KINDS",
    "MAX_COUNT",
    "NO_PRODUCT",
    "PATTERNS",
    "UNKNOWN",
    "Labels",
    "PictureSpec",
    "Split",
    "draw",
    "is_held_out",
    "sample_spec",
]
