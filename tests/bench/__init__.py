"""What a warm render costs, beside what it would cost without us, and what a cold start costs; see `make bench`."""
