"""One mail for every job that ends, to the operator and to each who asked, by SES."""
