"""Makes the description of the public endpoint, functions/api/openapi.json, and what the README says of it.

`python -m infra.openapi` (or `make openapi`) writes them; tests hold them against what it would write now, and every
answer of the function against the description. Nothing of this runs on Lambda.
"""
