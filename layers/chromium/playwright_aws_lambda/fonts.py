"""Fonts beyond those of the layer."""

from __future__ import annotations

import os
from pathlib import Path

from playwright_aws_lambda.layer import Layer, font_name


def load_font(font: Path | str | bytes, layer: Layer | None = None) -> Path:
    """Adds a TrueType or OpenType font, given by its path or its content, for browsers launched from now on.

    Returns where it was put. The counterpart of `loadFont()`, which takes a URL: nothing is fetched here.
    """
    content = font if isinstance(font, bytes) else Path(font).read_bytes()
    name = font_name(content) if isinstance(font, bytes) else Path(font).name
    # fonts.conf names this folder as ~/.fonts, and `home` is Chromium's HOME.
    folder = (layer or Layer.here()).workspace() / "home" / ".fonts"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / name
    scratch = folder / f".{os.getpid()}-{name}"
    scratch.write_bytes(content)
    scratch.rename(place)
    return place
