"""Every script that the layer promises comes out as its own glyphs, in fonts of the layer and of nowhere else."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from pypdf import PdfReader
from pypdf.generic import ContentStream, DictionaryObject

from playwright_aws_lambda import Layer, load_font

from .conftest import Bench, Site, read_pdf, relaunch

SCRIPTS = {
    "latin": ("en", "Zażółć gęślą jaźń, Grüße, Ærøskøbing", "OpenSans"),
    "greek": ("el", "Ξεσκεπάζω την ψυχοφθόρα", "OpenSans"),
    "cyrillic": ("ru", "Съешь же ещё этих мягких булок, Ґанок", "OpenSans"),
    "chinese": ("zh-Hans", "直今，视野无限广", "NotoSansCJKsc"),
    "chinese by country": ("zh-CN", "直今，视野无限广", "NotoSansCJKsc"),
    "taiwanese": ("zh-TW", "直今，視野無限廣", "NotoSansCJKtc"),
    "japanese": ("ja", "いろはにほへと、直今カタカナ", "NotoSansCJKjp"),
    "korean": ("ko", "키스의 고유조건은 입술끼리", "NotoSansCJKkr"),
    "arabic": ("ar", "نص حكيم له سر قاطع", "DejaVuSans"),
    "hebrew": ("he", "דג סקרן שט בים מאוכזב", "OpenSans"),
    "devanagari": ("hi", "ऋषियों को सताने वाले दुष्ट", "NotoSansDevanagari"),
    "thai": ("th", "เป็นมนุษย์สุดประเสริฐ", "NotoSansThai"),
}
LICENCES = {
    "DejaVuSans": "dejavu",
    "DejaVuSansMono": "dejavu",
    "DejaVuSerif": "dejavu",
    "NotoColorEmoji": "noto-color-emoji",
    "NotoSansCJK": "noto-sans-cjk",
    "NotoSansDevanagari": "noto-sans-devanagari",
    "NotoSansThai": "noto-sans-thai",
    "OpenSans": "open-sans",
}
FONT_FILES = Path("chromium") / "fonts"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_printed_with_no_glyph_missing(render: Bench, site: Site, script: str) -> None:
    lang, text, font = SCRIPTS[script]
    html = f"<html lang={lang}><body style='font-family:sans-serif'><p>{text}</p><p><b>{text}</b></p>"
    pdf = read_pdf(render(site.page("/script", html)))
    fonts = fonts_of(pdf)
    assert any(font in name for name in fonts), fonts
    assert missing_glyphs(pdf) == 0
    wanted, found = letters(text), letters(pdf.pages[0].extract_text())
    assert wanted <= found, f"{''.join(sorted(wanted - found))} is missing"


def test_colour_emoji_are_printed_in_colour(render: Bench, site: Site) -> None:
    """Emoji of several code points too: a flag, a family, a skin."""
    html = "<body style='font-size:40px'>😀🇩🇪👩‍👩‍👧👍🏽❤️"
    answer = render(site.page("/emoji", html))
    pdf = read_pdf(answer)
    assert missing_glyphs(pdf) == 0
    assert not any("DejaVu" in name for name in fonts_of(pdf)), "black and white"
    # Coloured glyphs are drawings: Type 3 fonts or forms, whose streams set colours.
    assert len(colours(pdf)) > 5


def test_a_glyph_that_no_font_has_is_noticed(render: Bench, site: Site) -> None:
    """That the two tests above can fail: cuneiform is in no font of the layer."""
    assert missing_glyphs(read_pdf(render(site.page("/none", "<p>𒀀𒀁")))) > 0


def test_a_font_that_was_loaded_is_used(render: Bench, site: Site, layer: Layer) -> None:
    """By its family, from the next launch on; here a copy under a name of its own."""
    source = (layer.root / FONT_FILES / "Open_Sans" / "OpenSans-Bold.ttf").read_bytes()
    renamed = source.replace("Open Sans".encode("utf-16-be"), "Made Font".encode("utf-16-be"))
    place = load_font(renamed, layer)
    try:
        relaunch(render)
        html = "<style>p{font-family:'Made Font',monospace}</style><p>own"
        fonts = fonts_of(read_pdf(render(site.page("/own", html))))
        assert not any("Mono" in name for name in fonts), fonts
    finally:
        place.unlink()
        relaunch(render)


def test_no_font_of_the_machine_is_used(layer: Layer) -> None:
    """The configuration names the layer's fonts and those of load_font(), and includes nothing."""
    text = (layer.files / "fonts.conf").read_text()
    text = re.sub("<!--.*?-->", "", text, flags=re.DOTALL)
    assert re.findall(r"<dir.*?>(.*?)</dir>", text) == ["fonts", "~/.fonts"]
    assert "<include" not in text


def test_every_font_has_its_licence(layer: Layer) -> None:
    licences = {path.stem for path in (layer.files / "licences").iterdir()}
    for font in (layer.files / "fonts").rglob("*.tt?"):
        assert LICENCES[font.stem.partition("_")[0].partition("-")[0]] in licences, font.name


def letters(text: str) -> set[str]:
    """The letters of a text; presentation forms are what they present (Arabic prints those)."""
    return {sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign)[0] in "L"}


def fonts_of(pdf: PdfReader) -> set[str]:
    return {str(font.get("/BaseFont", font.get("/FontDescriptor", {}))) for font in _fonts(pdf).values()}


def missing_glyphs(pdf: PdfReader) -> int:
    """How often the PDF shows glyph 0, .notdef, or text without a letter: 2-byte codes are glyph ids (Identity-H)."""
    count = 0
    for page in pdf.pages:
        fonts = page["/Resources"].get_object().get("/Font", {})  # type: ignore[union-attr]
        current: DictionaryObject = DictionaryObject()
        for operands, operator in ContentStream(page.get_contents(), pdf).operations:
            if operator == b"Tf":
                current = fonts[operands[0]].get_object()
            elif operator in (b"Tj", b"TJ") and current.get("/Encoding") == "/Identity-H":
                shown = operands[0] if operator == b"TJ" else [operands[0]]
                for text in shown:
                    if isinstance(text, (bytes, str)):
                        codes = text.original_bytes if isinstance(text, str) else bytes(text)  # type: ignore[attr-defined]
                        count += sum(codes[at : at + 2] == b"\0\0" for at in range(0, len(codes), 2))
    return count


def colours(pdf: PdfReader) -> set[bytes]:
    """The colours that the PDF's glyph drawings and forms set."""
    found: set[bytes] = set()
    for number in range(1, len(pdf.xref[0]) + 1 if 0 in pdf.xref else 0):
        thing = pdf.get_object(number)
        if hasattr(thing, "get_data") and thing is not None:
            found.update(re.findall(rb"(?:[\d.]+ ){3}rg\b", thing.get_data()))
    return found


def _fonts(pdf: PdfReader) -> dict[str, DictionaryObject]:
    found = {}
    for page in pdf.pages:
        for name, font in page["/Resources"].get_object().get("/Font", {}).items():  # type: ignore[union-attr]
            found[name] = font.get_object()
    return found
