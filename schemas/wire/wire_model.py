"""Defines the base of every model on the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """A frozen model that refuses unknown keys, so that a sender sees a misspelt field. Numbers are finite.

    Creating one blocks for nothing and raises pydantic.ValidationError when a field is missing, unknown or invalid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True)
