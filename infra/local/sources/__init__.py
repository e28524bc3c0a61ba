"""Stands in for the sources of events on AWS: event source mappings, rules of the bus, and schedules."""
