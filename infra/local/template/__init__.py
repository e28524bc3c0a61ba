"""CloudFormation's and SAM's part: templates evaluated, and what they declare as typed values."""
