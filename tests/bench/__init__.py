"""Benchmarks of warm renders beside a bare Playwright, of the hand-over, and of cold starts; see `make bench`."""
