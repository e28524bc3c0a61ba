"""Everything that the browser sends and receives goes through here."""
