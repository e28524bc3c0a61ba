"""Writes CloudWatch metrics about every job that ends."""
