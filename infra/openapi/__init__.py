"""Generates functions/api/openapi.json, the description of the public endpoint, and the tables in the documents.

`python -m infra.openapi` (or `make openapi`) writes the files. Tests compare them with the generated text, and compare
every answer of `api` with the description. Nothing in this package runs on Lambda.
"""
