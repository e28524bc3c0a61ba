"""Connections to strangers' servers, under the egress rules."""
