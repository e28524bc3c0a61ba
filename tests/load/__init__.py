"""A day of requests in minutes: `make load` sends thousands through the whole local stack, and measures."""
