"""Writes one structured log line about every job that ends."""
