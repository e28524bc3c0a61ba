"""Blocks of shell commands in the documentation."""

from __future__ import annotations

import re

from infra.local.settings import PROJECT

_BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def blocks() -> list[str]:
    """Returns the text of every block of commands in the README and in docs/."""
    files = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("**/*.md"))]
    return [block for file in files for block in _BLOCK.findall(file.read_text("utf-8"))]


def first_call() -> str:
    """Returns the block that downloads a PDF from a new deployment.

    The block calls `aws`, and the shell function `out`, which another block defines.
    """
    [block] = [block for block in blocks() if "get-api-key " in block]
    return block
