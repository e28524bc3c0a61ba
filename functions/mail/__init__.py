"""One mail for every job that ends, by SES."""
