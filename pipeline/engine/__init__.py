"""Engines answer questions about images, in a child process that owns the GPU and may crash."""
