"""Posts how a job ended to whoever asked for a callback."""
