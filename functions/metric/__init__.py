"""CloudWatch metrics for every job that ends."""
