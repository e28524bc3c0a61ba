"""Checks whether a PDF shows what its page must show."""

from __future__ import annotations

import io
import re
import unicodedata

import pypdfium2
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from tests.bench.pages import Page

_IMAGE = 3  # FPDF_PAGEOBJ_IMAGE
_DEPTH = 8
_GLYPH_SCALE = 3
"""Pixels per point of the picture in which glyphs are compared."""
_FEWEST, _DIFFERENT = 3, 0.9


def missing(page: Page, pdf: bytes) -> list[str]:
    """Returns what a PDF lacks of a page, in words; empty if the PDF is complete."""
    if not pdf.startswith(b"%PDF-"):
        return ["it is no PDF"]
    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError:
        return ["it cannot be read"]
    try:
        text = squeeze("".join(sheet.get_textpage().get_text_bounded() for sheet in document))
        found = [f"“{one}”" for one in page.texts if squeeze(one) not in text]
        found += [f"(shows “{one}” instead)" for one in page.absent if squeeze(one) in text]
        if len(document) < page.sheets:
            found.append(f"sheets: {len(document)} of {page.sheets}")
        if page.images:
            images = sum(1 for sheet in document for _ in sheet.get_objects(filter=(_IMAGE,), max_depth=_DEPTH))
            if images < page.images:
                found.append(f"pictures: {images} of {page.images}")
        if page.glyphs and not drawn(document[0], page.glyphs):
            found.append("most glyphs")
    finally:
        document.close()
    if page.fonts:
        embedded = " ".join(fonts(pdf))
        found += [f"the font {font.partition('|')[0]}" for font in page.fonts if not re.search(font, embedded)]
    return found


def drawn(sheet: pypdfium2.PdfPage, characters: str) -> bool:
    """Says whether at least three of the characters are on a sheet and nearly all of them look different."""
    text = sheet.get_textpage()
    content = text.get_text_range()
    places = {one: content.find(one) for one in set(characters) if one.isalpha() and one in content}
    picture = sheet.render(scale=_GLYPH_SCALE, grayscale=True).to_pil()
    looks = set()
    for place in places.values():
        left, bottom, right, top = text.get_charbox(place)
        box = (left, picture.height / _GLYPH_SCALE - top, right, picture.height / _GLYPH_SCALE - bottom)
        looks.add(picture.crop(tuple(round(edge * _GLYPH_SCALE) for edge in box)).resize((16, 16)).tobytes())
    return len(places) >= _FEWEST and len(looks) >= _DIFFERENT * len(places)


def fonts(pdf: bytes) -> set[str]:
    """Returns the names of the fonts of the first sheet."""
    resources = PdfReader(io.BytesIO(pdf)).pages[0].get("/Resources", DictionaryObject()).get_object()
    found = resources.get("/Font", DictionaryObject()).get_object().values()
    return {str(font.get_object().get("/BaseFont", "")).replace("-", "") for font in found}


def squeeze(text: str) -> str:
    """Returns a text without white space and hyphens of line ends, with compatible characters unified (NFKC)."""
    return "".join(unicodedata.normalize("NFKC", text.replace("\ufffe", "").replace("\u00ad", "")).split())
