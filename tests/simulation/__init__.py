"""A deterministic simulation of jobs: the real code of the functions runs over simulated services, and is checked."""
