"""A small Mllama of our own that answers questions about drawn product pictures."""
