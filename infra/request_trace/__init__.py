"""Follows one request from its topics and the store alone."""
