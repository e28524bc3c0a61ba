"""A deterministic simulation of the hand-over: the real code runs over simulated services, and is checked."""
