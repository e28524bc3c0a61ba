"""Replaces a function in a copy of the project (tests/bench/project.py)."""
