"""What CloudFormation is given: template.yaml as SAM transforms it, and the templates that it nests, as one whole."""
