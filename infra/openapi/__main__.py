"""`python -m infra.openapi`: writes functions/api/openapi.json, and the tables of README.md and docs/operating.md."""

from __future__ import annotations

from infra.openapi import document, readme

if __name__ == "__main__":
    document.FILE.write_text(document.text(), "utf-8")
    for file in (readme.FILE, readme.OPERATING):
        file.write_text(readme.with_parts(file.read_text("utf-8")), "utf-8")
