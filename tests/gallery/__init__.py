"""Pages of every kind, and what their PDFs must show. `make gallery` puts them side by side for people to look at."""
