"""Shows the answers of results: split into plain values, as a table for people, and as columns for other programs."""
