"""One renderer and one web server for the whole gallery, and a reader for its PDFs."""

from __future__ import annotations

import base64
import io
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pypdfium2
from aws_lambda_powertools import Logger
from PIL import Image, ImageChops
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from functions.render.renderer import Renderer
from functions.render.settings import RenderSettings
from playwright_aws_lambda import Layer
from urlshot.core.render_contract import RenderAnswer, RenderJob

from .row import Ink
from .server import serve_pages

ROOT = Path(__file__).parents[2]
LAYER = Layer.at(Path(os.environ.get("URLSHOT_CHROMIUM_LAYER", ROOT / ".urlshot" / "layers" / "ChromiumLayer")))
"""The layer that `make layers` built."""

DPI = 40
"""Resolution of the pictures that are measured; enough to tell colours in regions."""
NEAR = 40
"""Largest difference of each of red, green and blue, of 255."""


class Studio:
    """Renders pages of the gallery, one after another, in one browser."""

    def __init__(self, renderer: Renderer, port: int) -> None:
        self.renderer = renderer
        self._port = port

    def url(self, page: str) -> str:
        """Returns the URL of a page; a name without a dot or a slash is the name of an HTML file."""
        return f"http://127.0.0.1:{self._port}/{page if '.' in page or '/' in page else page + '.html'}"

    def render(self, page: str, options: dict[str, Any] | None = None) -> RenderAnswer:
        """Renders a page; returns the answer, which holds the PDF."""
        job = {"id": "a" * 40, "generation": "g", "upload": None, "limits": {"seconds": 30}, "options": options or {}}
        return self.renderer.render(RenderJob.model_validate({"url": self.url(page), **job}), None)


@contextmanager
def open_studio() -> Iterator[Studio]:
    """Starts the server and the renderer, and ends both."""
    with serve_pages() as port:
        local = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "LOCAL_ALLOW": f"127.0.0.1:{port},localhost:{port}"}
        logger = Logger(service="gallery", stream=io.StringIO())
        renderer = Renderer(RenderSettings.read(local), logger, LAYER, die=lambda: None)
        renderer.start()
        try:
            yield Studio(renderer, port)
        finally:
            renderer.close()


class Printed:
    """The PDF of an answer: its text, its structure and its look."""

    def __init__(self, answer: RenderAnswer) -> None:
        assert answer.pdf is not None, answer.error
        self.bytes = base64.b64decode(answer.pdf)
        self.reader = PdfReader(io.BytesIO(self.bytes))

    @cached_property
    def texts(self) -> list[str]:
        """The text of each page, without white space and with ligatures split."""
        return [squeeze(page.extract_text()) for page in self.reader.pages]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first page in millimetres."""
        box = self.reader.pages[0].mediabox
        return round(float(box.width) / 72 * 25.4), round(float(box.height) / 72 * 25.4)

    @property
    def fonts(self) -> set[str]:
        """Names of all fonts."""
        found = set()
        for page in self.reader.pages:
            resources = page.get("/Resources", DictionaryObject()).get_object()
            for font in resources.get("/Font", DictionaryObject()).get_object().values():
                found.add(str(font.get_object().get("/BaseFont", "")))
        return found

    @property
    def outline(self) -> list[str]:
        """Titles of all bookmarks, of any depth."""

        def titles(entries: list[Any]) -> list[str]:
            return [
                title
                for entry in entries
                for title in (titles(entry) if isinstance(entry, list) else [str(entry.title)])
            ]

        return titles(self.reader.outline)

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(len(page.images) for page in self.reader.pages)

    @property
    def links(self) -> list[str]:
        """Targets of links, and `#` for targets within the document."""
        found = []
        for page in self.reader.pages:
            for note in page.get("/Annots", []):
                entry = note.get_object()
                action = entry.get("/A", DictionaryObject()).get_object()
                if entry.get("/Subtype") == "/Link":
                    found.append(str(action.get("/URI", "#")))
        return found

    def picture(self, page: int, dpi: float = DPI) -> Image.Image:
        """Returns a picture of a page; the first page is 1."""
        document = pypdfium2.PdfDocument(self.bytes)
        try:
            return document[page - 1].render(scale=dpi / 72).to_pil().convert("RGB")
        finally:
            document.close()

    def share(self, ink: Ink) -> float:
        """Returns the share of the region's pixels that have about this colour."""
        picture = self.picture(ink.page)
        left, top, right, bottom = ink.region
        width, height = picture.size
        region = picture.crop((int(left * width), int(top * height), int(right * width), int(bottom * height)))
        difference = ImageChops.difference(region, Image.new("RGB", region.size, ink.colour))
        farthest = ImageChops.lighter(ImageChops.lighter(*difference.split()[:2]), difference.split()[2])
        return sum(farthest.histogram()[: NEAR + 1]) / (region.width * region.height)


def squeeze(text: str) -> str:
    """Returns a text for comparison: without white space, and with compatible characters unified (NFKC)."""
    return "".join(unicodedata.normalize("NFKC", text).split())
