"""Makes a fresh machine ready: `python3 -m sightstream.infra.bootstrap`. Standard library only; runs first."""
