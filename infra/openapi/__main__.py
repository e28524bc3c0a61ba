"""`python -m infra.openapi`: writes functions/api/openapi.json, and what the README shows of the code."""

from __future__ import annotations

from infra.openapi import document, readme

if __name__ == "__main__":
    document.FILE.write_text(document.text(), "utf-8")
    readme.FILE.write_text(readme.with_parts(readme.FILE.read_text("utf-8")), "utf-8")
