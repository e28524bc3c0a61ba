"""Posts the end of a job to each callback URL that asked for it."""
