"""Runs several workers on one machine, one for each GPU, and starts those again that die."""
