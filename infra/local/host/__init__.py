"""What this machine gives: processes, ports, folders, Docker's bridge."""
