"""Provides the resources of this machine: processes, ports, folders, and Docker's bridge."""
