"""HTTP: accepts a URL, looks its PDF up, queues the job, links to the file."""
