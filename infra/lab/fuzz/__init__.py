"""Fuzzers that generate hostile files and answers by the thousand; none of them may end a worker."""
