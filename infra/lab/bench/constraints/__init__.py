"""Measures constrained answers: compiling, masks, and whether random answers pass the check."""
