"""Prepares a fresh machine: `python3 -m sightstream.infra.bootstrap`. It runs first, on the standard library alone."""
