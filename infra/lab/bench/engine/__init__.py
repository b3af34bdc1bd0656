"""`sightstream bench engine`: the tutorial's loop, the best stock batch and the slot engine, on this machine."""
