"""Makes a fresh machine ready: `python3 -m infra.bootstrap`. Standard library only; runs first."""
