"""What invokes functions on AWS: event source mappings, rules of the bus, schedules."""
