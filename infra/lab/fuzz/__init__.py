"""Hostile files, made by the thousand: what they must never do is end a worker."""
