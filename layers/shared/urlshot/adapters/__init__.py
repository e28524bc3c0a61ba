"""One module for each vendor's service that the functions talk to."""
