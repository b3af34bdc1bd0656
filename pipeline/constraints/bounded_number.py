"""Bounds a number on both sides and in its digits, so that it ends, and fits once it is read as a float."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

# Integers beyond it are not exact for most readers of JSON (RFC 8259, section 6), and no database column holds them.
LARGEST_NUMBER = 2**53
# So many digits behind the point, and as many more as bounds closer together than 1 need.
DECIMALS = 6
# llguidance knows no smaller step, so that closer bounds leave the digits open.
MAX_DECIMALS = 10

LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def bounded_integer(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the limits of an integer: without, a model may write digits up to its last token."""
    limits = {name: schema[name] for name in LIMITS if name in schema}
    if "minimum" not in limits and "exclusiveMinimum" not in limits:
        limits["minimum"] = -LARGEST_NUMBER
    if "maximum" not in limits and "exclusiveMaximum" not in limits:
        limits["maximum"] = LARGEST_NUMBER
    return limits


def bounded_number(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the limits of a number, none of them exclusive.

    As text 0.99999999999999999 is below 1, and as a float it is 1. Rounding keeps the order of numbers, so a text
    within inclusive bounds is a float within them.
    """
    limits = bounded_integer(schema)
    bounds = [limits[name] for name in LIMITS[:-1] if name in limits]
    decimals = _decimals(bounds)
    low = max(limits.get("minimum", -math.inf), _next(limits, "exclusiveMinimum", decimals, 1))
    high = min(limits.get("maximum", math.inf), _next(limits, "exclusiveMaximum", decimals, -1))
    if low > high:
        return limits  # no value fits, which the compiler says in terms of the schema
    step = {"multipleOf": float(Decimal(1).scaleb(-decimals))} if decimals <= MAX_DECIMALS else {}
    return {"minimum": low, "maximum": high} | step | {key: limits[key] for key in ("multipleOf",) if key in limits}


def is_known_step(step: float) -> bool:
    """Return whether llguidance can hold an answer to multiples of `step`: it looks for the decimals in binary."""
    while step != int(step):
        step *= 10.0
    return step < 2**32


def _decimals(bounds: list[float]) -> int:
    span = max(bounds) - min(bounds)
    needed = max(-int(Decimal(repr(bound)).normalize().as_tuple().exponent) for bound in bounds)
    return max(needed, DECIMALS + (max(0, math.ceil(-math.log10(span))) if span > 0 else 0))


def _next(limits: dict[str, Any], name: str, decimals: int, direction: int) -> float:
    """Return the first number beyond an exclusive bound, an infinite one where there is none."""
    if name not in limits:
        return -direction * math.inf
    bound = limits[name]
    step = direction * Decimal(1).scaleb(-decimals)
    beyond = float(Decimal(repr(bound)) + step)
    return beyond if beyond != bound else math.nextafter(bound, direction * math.inf)
