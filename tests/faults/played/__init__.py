"""Files for the copy of the project that tests/faults/project.py makes."""
