"""Makes the description of the public endpoint, functions/api/openapi.json, and the tables in the documents.

`python -m infra.openapi` (or `make openapi`) writes them. Tests compare the files with what it would write now, and
every answer of the function with the description. Nothing in this package runs on Lambda.
"""
