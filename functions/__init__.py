"""urlshot's functions: a room each, and none enters another's."""
