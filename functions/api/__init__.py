"""Answers HTTP requests: accepts a URL, looks its PDF up, queues the job, and links to the file."""
