"""What maintainers run: the demo and its model, benchmarks, fuzzers. The wheel leaves it out."""
