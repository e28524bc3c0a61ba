"""Reads what CloudFormation gets: template.yaml after SAM's transform, and its nested templates, as one deployment."""
