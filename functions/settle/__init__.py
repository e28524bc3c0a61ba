"""Settles the result of a render: publishes the PDF, ends or retries the job, and announces the end."""
