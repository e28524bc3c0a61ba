"""One machine's stand-in for what AWS does between urlshot's functions, and nothing more.

It reads the wiring from template.yaml and infra/*.yaml, starts every function as Lambda would, and imports nothing of
``functions/`` or ``urlshot``: what runs here is what would be deployed.
"""
