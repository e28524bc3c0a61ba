"""The parts of the Markdown documents that are made from the code, and the examples that tests run.

Each part stands between `<!-- name -->` and `<!-- /name -->`. A part that is named by a path holds that file. The
tables are made by `infra.openapi.tables`.
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
    """Returns every document that people read, README first."""
    return [
        README,
        *(PROJECT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
        *sorted((PROJECT / "docs").glob("*.md")),
    ]


def with_parts(text: str) -> str:
    """Returns a document with its parts as the code has them now.

    Raises:
        KeyError: a part has a name that is neither a table's nor a path's.
    """
    return _PART.sub(lambda found: f"<!-- {found['name']} -->\n{_part(found['name'])}<!-- /{found['name']} -->", text)


def without_parts(text: str) -> str:
    """Returns what people wrote of a document."""
    return _PART.sub("", text)


def parts(text: str) -> set[str]:
    """Returns the names of the parts that a document has."""
    return {found["name"] for found in _PART.finditer(text)}


def _part(name: str) -> str:
    if "/" in name:
        file = PROJECT / name
        return f"```{_LANGUAGES[file.suffix]}\n{file.read_text('utf-8')}```\n"
    return TABLES[name]()
