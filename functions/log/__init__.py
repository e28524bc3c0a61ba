"""One structured line for every job that ends."""
