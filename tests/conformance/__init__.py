"""Holds the simulated parts against the real ones: each test runs against both, with the same body."""
