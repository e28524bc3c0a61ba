"""Stands in for Lambda: builds, starts, invokes and ends functions."""
