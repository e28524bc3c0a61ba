"""The steps of a job's life that several functions take: accept, park, announce."""
