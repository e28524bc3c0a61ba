"""Stands in for CloudFormation and SAM: evaluates templates, and reads their declarations as typed values."""
