"""Fuzzes the code that reads strangers' bytes in `render`: the proxy's parsers, and the readers of PDFs and sources."""
