"""Measures what honest images pay while a store or host beside theirs is slow, down, misspelt or far away."""
