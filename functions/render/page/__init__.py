"""The page in the browser: what is noted, asked and changed until it can be printed."""
