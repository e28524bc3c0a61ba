"""Writes functions/api/openapi.json, and the tables and examples in the documents: `python -m infra.openapi`."""

from __future__ import annotations

from infra.openapi import document, documents

if __name__ == "__main__":
    document.FILE.write_text(document.text(), "utf-8")
    for file in documents.documents():
        file.write_text(documents.with_parts(file.read_text("utf-8")), "utf-8")
