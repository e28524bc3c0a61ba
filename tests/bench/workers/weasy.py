"""WeasyPrint by its Python API, as its documentation shows it. It runs no scripts."""

from __future__ import annotations

from tests.bench.workers.protocol import Conversation

talk = Conversation()

from typing import Any  # noqa: E402

from weasyprint import HTML, __version__  # noqa: E402


class Weasy:
    """Keeps nothing between jobs but the interpreter."""

    def __init__(self) -> None:
        self.versions = {"weasyprint": __version__}

    def print(self, url: str, wait: str) -> tuple[bytes, dict[str, Any]]:
        """Prints a page."""
        return HTML(url).write_pdf(), {}

    def tidy(self) -> None:
        """Nothing is left to do."""


talk.mark("imported")
talk.serve(Weasy())
