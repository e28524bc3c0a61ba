"""Adds fonts to those of the layer."""

from __future__ import annotations

import os
from pathlib import Path

from playwright_aws_lambda.layer import Layer, font_name


def load_font(font: Path | str | bytes, layer: Layer | None = None) -> Path:
    """Adds a TrueType or OpenType font for browsers that are launched later.

    `loadFont()` of the npm package takes a URL. This function fetches nothing.

    Args:
        font: The path of the font, or its content.
        layer: The layer; by default the one that contains this package.

    Returns:
        The path of the added font.
    """
    content = font if isinstance(font, bytes) else Path(font).read_bytes()
    name = font_name(content) if isinstance(font, bytes) else Path(font).name
    # This is ~/.fonts in fonts.conf, because `home` is Chromium's HOME.
    folder = (layer or Layer.here()).workspace() / "home" / ".fonts"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / name
    scratch = folder / f".{os.getpid()}-{name}"
    scratch.write_bytes(content)
    scratch.rename(place)
    return place
