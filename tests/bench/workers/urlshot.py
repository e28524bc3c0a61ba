"""urlshot's `render` as it is deployed: the built layers, the egress proxy, and the PDF in the answer."""

from __future__ import annotations

from tests.bench.workers.protocol import Conversation

talk = Conversation()  # before the imports, which are a part of the cold start

import os  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

os.environ["AWS_LAMBDA_RUNTIME_API"] = "none"  # so that the import starts the browser, as on Lambda

from playwright_aws_lambda import Layer  # noqa: E402

inflate = Layer.inflate


def marked(layer: Layer) -> Path:
    """Inflates the browser, and notes when that has ended. A thread does it ahead, while modules are imported."""
    if threading.current_thread().name == "inflate":
        found = inflate(layer)
        talk.mark("inflated")
        return found
    talk.mark("imported")  # the renderer asks for the browser as soon as all modules are imported
    return inflate(layer)


Layer.inflate = marked  # type: ignore[method-assign]

import pybase64  # noqa: E402

from functions.render import app  # noqa: E402


class Urlshot:
    """Calls the handler of `render`, as Lambda does."""

    def __init__(self) -> None:
        self.versions = {"python": sys.version.split()[0]}

    def print(self, url: str, wait: str) -> tuple[bytes, dict[str, Any]]:
        """Renders one job without an upload."""
        job = {"id": "a" * 40, "generation": "g", "url": url, "upload": None, "options": {"wait_until": wait}}
        answer = app.handler(job, None)
        if answer.get("error"):
            raise RuntimeError(answer["error"])
        report = answer["report"]
        self.versions["chromium"] = report["chromium"]
        return pybase64.b64decode(answer["pdf"]), {
            "phases": report["phases"],
            "verdict": report["verdict"],
            "warnings": [warning["code"] for warning in report["warnings"]],
            "chromium": report["chromium"],
        }

    def tidy(self) -> None:
        """Nothing is left to do."""


urlshot = Urlshot()
talk.mark("started")
talk.serve(urlshot)
