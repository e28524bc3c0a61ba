"""Sends one mail about every job that ends, to the operator and to each subscriber, by SES."""
