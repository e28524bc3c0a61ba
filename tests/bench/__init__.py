"""Benchmarks of urlshot beside its floor and its peers, of the hand-over, and of cold starts; see `make bench`."""
