"""Audits the pinned dependencies, and lists what the layers contain.

python -m infra.supply_chain audit [--strict]    looks the pins up in the advisory databases
python -m infra.supply_chain hashes              writes the hashes of the layers' wheels into their requirements
python -m infra.supply_chain sbom FILE           writes the contents of the built layers, as CycloneDX JSON
"""
