"""What a warm render costs, beside what it would cost without us. `make bench` prints it."""
