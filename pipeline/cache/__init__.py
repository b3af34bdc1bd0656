"""Keeps answers, so that equal requests are not computed again."""
