"""Runs urlshot on one machine, by replacing what AWS does between its functions.

It reads the application from template.yaml and infra/*.yaml and starts every function as Lambda does. It imports
nothing from `functions/` or `urlshot`, so the functions run exactly as they are deployed.

`__main__` and `pdf` are the commands. `stack` starts and connects everything, and `cloudformation` creates the
resources. Each folder replaces one part of AWS or provides one part of this machine; its `__init__` says which.
"""
