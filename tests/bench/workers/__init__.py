"""The tools of the benchmark that stay warm, each in a process of its own with the protocol of `protocol.py`."""
