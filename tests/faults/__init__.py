"""Real faults in the whole local stack: `make faults` and `make load` check that no job is lost and none is doubled."""
