"""One machine's stand-in for what AWS does between urlshot's functions, and nothing more.

It reads the application from template.yaml and infra/*.yaml, starts every function as Lambda would, and imports nothing
of ``functions/`` or ``urlshot``: what runs here is what would be deployed.

``__main__`` and ``pdf`` are the commands. ``stack`` starts and connects everything, and ``cloudformation`` creates the
resources. Each folder stands in for one part of AWS or of this machine; its ``__init__`` names it.
"""
