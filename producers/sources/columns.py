"""Says what the columns of a table mean: a shop's own names, and what becomes of columns that are none of ours."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

_IMAGE_HINTS = ("image_url", "image", "img", "picture", "photo", "url", "uri", "link", "src", "file", "path")
_PRODUCT_HINTS = ("product_id", "sku", "product", "asin", "gtin", "ean", "item", "article", "handle", "id")

_EXACT = 2**53  # beyond it a float may have lost digits


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that hold the product id and the address of the image.

    `others`: columns without a meaning of their own are an error ("refuse") or become attributes ("attributes").
    `ignored` are passed over.
    """

    product: str = "product_id"
    image: str = "uri"
    others: Literal["refuse", "attributes"] = "refuse"
    ignored: tuple[str, ...] = ()

    def renamed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our own names, without what is ignored."""
        names = {"product_id": self.product, "uri": self.image}  # one column may be both
        # Another column with one of our names says something else.
        passed_over = {*names, *names.values(), *self.ignored}
        kept = {name: value for name, value in row.items() if name not in passed_over}
        return {**{ours: row[theirs] for ours, theirs in names.items() if theirs in row}, **kept}

    def hint(self, columns: Collection[str], known: Collection[str]) -> str:
        """Return the options of `sightstream publish` that would make sense of these columns; "" if none would."""
        image = self.image if self.image in columns else _likely(_IMAGE_HINTS, columns)
        product = self.product if self.product in columns else _likely(_PRODUCT_HINTS, set(columns) - {image or ""})
        product = image if len(columns) == 1 else product
        if image is None or product is None:
            return ""
        options = [] if product == "product_id" else [f"--product-column {product}"]
        options += [] if image == "uri" else [f"--image-column {image}"]
        options += ["--attributes rest"] if set(columns) - {image, product} - set(known) else []
        return f". This may be meant: {' '.join(options)}" if options else ""


OUR_NAMES = Columns()


def as_id(value: Any) -> Any:
    """Return a whole number as its digits, also the float that pandas makes of it where others are missing."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_attribute(value: Any) -> str:
    """Return a value as text: attributes hold nothing else."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _likely(hints: Iterable[str], columns: Collection[str]) -> str | None:
    """Return the column whose name is a hint, else one that contains it."""
    ordered = sorted(columns)
    for matches in (str.__eq__, str.__contains__):
        for hint in hints:
            for name in ordered:
                if matches(name.casefold(), hint):
                    return name
    return None
