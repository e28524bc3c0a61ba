"""From a page to a PDF, and what a PDF says about itself."""
