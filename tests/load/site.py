"""Serves the pages of the load: good ones, missing ones, and ones that never come."""

from __future__ import annotations

from collections import Counter

from tests.web import PageRequest, WebServer

NEVER_SECONDS = 120.0


class LoadSite(WebServer):
    """A web server that counts its requests. Pages below /missing are 404, and those below /hanging never come."""

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        super().__init__()

    def answer(self, request: PageRequest) -> None:
        path = request.path
        self.hits[path] += 1
        if path.startswith("/hanging"):
            self.hang(request, NEVER_SECONDS)
            return
        rows = "".join(f"<tr><td>{n}<td>{n * n}" for n in range(20))
        body = f"<!doctype html><title>{path}</title><h1>{path}</h1><table>{rows}</table>"
        request.send(body.encode(), 404 if path.startswith("/missing") else 200)
