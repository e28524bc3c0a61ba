"""Updates the generated parts of the Markdown documents: tables from the code, and example files that tests run.

Each part is between `<!-- name -->` and `<!-- /name -->`. If the name is a path, the part holds that file. Otherwise it
holds the table of that name from `infra.openapi.tables`.
"""

from __future__ import annotations

import re
from pathlib import Path

from infra.openapi.document import PROJECT
from infra.openapi.tables import TABLES

README = PROJECT / "README.md"
_PART = re.compile(r"<!-- (?P<name>[\w./-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)
_LANGUAGES = {".sh": "sh", ".py": "python", ".mjs": "js"}


def documents() -> list[Path]:
    """Returns all documents, README first."""
    return [
        README,
        *(PROJECT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
        *sorted((PROJECT / "docs").glob("*.md")),
    ]


def with_parts(text: str) -> str:
    """Returns a document with all generated parts updated.

    Raises:
        KeyError: A part has the name of neither a table nor a file.
    """
    return _PART.sub(lambda found: f"<!-- {found['name']} -->\n{_part(found['name'])}<!-- /{found['name']} -->", text)


def without_parts(text: str) -> str:
    """Returns a document without its generated parts."""
    return _PART.sub("", text)


def parts(text: str) -> set[str]:
    """Returns the names of the generated parts of a document."""
    return {found["name"] for found in _PART.finditer(text)}


def _part(name: str) -> str:
    if "/" in name:
        file = PROJECT / name
        return f"```{_LANGUAGES[file.suffix]}\n{file.read_text('utf-8')}```\n"
    return TABLES[name]()
