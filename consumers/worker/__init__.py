"""Takes requests, runs them through the flow, commits their outcomes with the offsets in one transaction."""
