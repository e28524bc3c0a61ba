"""Pages of every kind and the facts that their PDFs must show; `make gallery` shows them all side by side."""
