"""Chromium between jobs, and what it may see of this process."""
