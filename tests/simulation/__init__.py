"""A deterministic simulation of the hand-over: the real code over simulated services, judged after each history."""
