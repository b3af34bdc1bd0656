"""Fuzzers that generate hostile files by the thousand; none of them may end a worker."""
