"""Tests that every script that the layer promises is printed with its glyphs, in fonts of the layer alone."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from pypdf import PdfReader
from pypdf.generic import ContentStream, DictionaryObject

from playwright_aws_lambda import Layer, load_font

from .conftest import ROOT, Bench, Site, read_pdf, relaunch

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
    "telugu": ("te", "తెలుగు క్షత్రియ", "NotoSansTelugu"),
    "tamil": ("ta", "தமிழ் மொழி", "NotoSansTamil"),
    "bengali": ("bn", "বাংলা ভাষা", "NotoSansBengali"),
    "gujarati": ("gu", "ગુજરાતી ભાષા", "NotoSansGujarati"),
    "kannada": ("kn", "ಕನ್ನಡ ಭಾಷೆ", "NotoSansKannada"),
    "malayalam": ("ml", "മലയാളം ഭാഷ", "NotoSansMalayalam"),
    "gurmukhi": ("pa", "ਪੰਜਾਬੀ ਭਾਸ਼ਾ", "NotoSansGurmukhi"),
    "odia": ("or", "ଓଡ଼ିଆ ଭାଷା", "NotoSansOriya"),
    "sinhala": ("si", "සිංහල භාෂාව", "NotoSansSinhala"),
    "khmer": ("km", "ភាសាខ្មែរ", "NotoSansKhmer"),
    "lao": ("lo", "ພາສາລາວ", "NotoSansLao"),
    "myanmar": ("my", "မြန်မာဘာသာ", "NotoSansMyanmar"),
    "tibetan": ("bo", "བོད་སྐད་", "NotoSerifTibetan"),
    "ethiopic": ("am", "አማርኛ ቋንቋ", "NotoSansEthiopic"),
    "armenian": ("hy", "Հայերեն լեզու", "DejaVuSerif"),
    "georgian": ("ka", "ქართული ენა", "DejaVuSerif"),
    "thaana": ("dv", "ދިވެހި ބަސް", "NotoSansThaana"),
    "thai": ("th", "เป็นมนุษย์สุดประเสริฐ", "NotoSansThai"),
}
COMPOSED = {"telugu", "gujarati", "kannada", "odia", "sinhala", "khmer"}
"""Scripts of SCRIPTS that may print several letters as one glyph, so that the letters have no Unicode values."""
LICENCES = {
    "DejaVuSans": "dejavu",
    "DejaVuSansMono": "dejavu",
    "DejaVuSerif": "dejavu",
    "NotoColorEmoji": "noto-color-emoji",
    "NotoSansCJK": "noto-sans-cjk",
    "NotoMusic": "noto-music",
    "NotoSansDevanagari": "noto-sans-devanagari",
    "NotoSansSymbols2": "noto-sans-symbols-2",
    "NotoSansThai": "noto-sans-thai",
    "NotoSerifTibetan": "noto-serif-tibetan",
    "NotoSansArabic": "noto-sans-arabic",
    "NotoSansArmenian": "noto-sans-armenian",
    "NotoSansBengali": "noto-sans-bengali",
    "NotoSansEthiopic": "noto-sans-ethiopic",
    "NotoSansGeorgian": "noto-sans-georgian",
    "NotoSansGujarati": "noto-sans-gujarati",
    "NotoSansGurmukhi": "noto-sans-gurmukhi",
    "NotoSansKannada": "noto-sans-kannada",
    "NotoSansKhmer": "noto-sans-khmer",
    "NotoSansLao": "noto-sans-lao",
    "NotoSansMalayalam": "noto-sans-malayalam",
    "NotoSansMath": "noto-sans-math",
    "NotoSansMyanmar": "noto-sans-myanmar",
    "NotoSansOriya": "noto-sans-oriya",
    "NotoSansSinhala": "noto-sans-sinhala",
    "NotoSansSymbols": "noto-sans-symbols",
    "NotoSansTamil": "noto-sans-tamil",
    "NotoSansTelugu": "noto-sans-telugu",
    "NotoSansThaana": "noto-sans-thaana",
    "OpenSans": "open-sans",
}
FONT_FILES = Path("chromium") / "fonts"


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_printed_without_missing_glyphs(render: Bench, site: Site, script: str) -> None:
    lang, text, font = SCRIPTS[script]
    html = f"<html lang={lang}><body style='font-family:sans-serif'><p>{text}</p><p><b>{text}</b></p>"
    pdf = read_pdf(render(site.page("/script", html)))
    fonts = fonts_of(pdf)
    assert any(font in name for name in fonts), fonts
    assert missing_glyphs(pdf) == 0
    wanted, found = letters(text), letters(pdf.pages[0].extract_text())
    if script in COMPOSED:
        assert len(wanted & found) >= len(wanted) / 3, found
    else:
        assert wanted <= found, f"{''.join(sorted(wanted - found))} is missing"


def test_colour_emoji_are_printed_in_colour(render: Bench, site: Site) -> None:
    """Covers emoji of several code points: a flag, a family, a skin tone."""
    html = "<body style='font-size:40px'>😀🇩🇪👩‍👩‍👧👍🏽❤️"
    answer = render(site.page("/emoji", html))
    pdf = read_pdf(answer)
    assert missing_glyphs(pdf) == 0
    assert not any("DejaVu" in name for name in fonts_of(pdf)), "black and white"
    # Coloured glyphs are drawings: Type 3 fonts or forms, whose streams set colours.
    assert len(colours(pdf)) > 5


# The characters to print, for every script in everyday use (Unicode Standard Annex 31, table 5).
BLOCKS = {
    "latin": (0x41, 0x24F), "greek": (0x384, 0x3CE), "cyrillic": (0x400, 0x4FF), "armenian": (0x531, 0x587),
    "hebrew": (0x5D0, 0x5EA), "arabic": (0x620, 0x6D5), "thaana": (0x780, 0x7B1), "devanagari": (0x904, 0x970),
    "bengali": (0x985, 0x9F1), "gurmukhi": (0xA05, 0xA75), "gujarati": (0xA85, 0xAF1), "odia": (0xB05, 0xB77),
    "tamil": (0xB83, 0xBFA), "telugu": (0xC05, 0xC7F), "kannada": (0xC85, 0xCF2), "malayalam": (0xD05, 0xD7F),
    "sinhala": (0xD85, 0xDF3), "thai": (0xE01, 0xE5B), "lao": (0xE81, 0xEDF), "tibetan": (0xF00, 0xFDA),
    "myanmar": (0x1000, 0x109F), "georgian": (0x10D0, 0x10FF), "hangul": (0xAC00, 0xACFF), "ethiopic": (0x1200, 0x137C),
    "khmer": (0x1780, 0x17F9), "hiragana": (0x3041, 0x3096), "katakana": (0x30A1, 0x30FA), "bopomofo": (0x3105, 0x312F),
    "han": (0x4E00, 0x4EFF),
    "mathematical operators": (0x2200, 0x22FF), "mathematical alphabets": (0x1D400, 0x1D7FF),
    "musical symbols": (0x1D100, 0x1D126), "arrows": (0x2190, 0x21FF), "technical": (0x2300, 0x23B9),
    "miscellaneous symbols": (0x2600, 0x26FF), "dingbats": (0x2700, 0x27BF),
}  # fmt: skip


def test_no_letter_of_a_script_in_everyday_use_is_missing(render: Bench, site: Site) -> None:
    """Prints every assigned character of these ranges of letters and symbols that does not combine with another."""
    missing = {}
    for script, (first, last) in BLOCKS.items():
        characters = [chr(code) for code in range(first, last + 1)]
        shown = [text for text in characters if unicodedata.category(text) not in {"Cn", "Cf", "Cc", "Mn", "Mc"}]
        answer = render(site.page("/block", f"<body style='font-family:sans-serif'>{' '.join(shown)}"))
        if count := missing_glyphs(read_pdf(answer)):
            missing[script] = count
    assert missing == {}


# Scripts with fewer readers (table 7 of the annex, and a few of table 4); PARTS are those that the fonts have in part.
LACKING = {
    "Adlam": (0x1E900, 0x1E943), "Balinese": (0x1B05, 0x1B33), "Bamum": (0xA6A0, 0xA6E5), "Batak": (0x1BC0, 0x1BE5),
    "Buginese": (0x1A00, 0x1A16), "Chakma": (0x11103, 0x11126), "Cham": (0xAA00, 0xAA28), "Cherokee": (0x13A0, 0x13F5),
    "Coptic": (0x2C80, 0x2CB0), "Hanifi Rohingya": (0x10D00, 0x10D23), "Javanese": (0xA984, 0xA9B2),
    "Kayah Li": (0xA90A, 0xA925), "Lepcha": (0x1C00, 0x1C23), "Limbu": (0x1900, 0x191E), "Mandaic": (0x840, 0x858),
    "Meetei Mayek": (0xABC0, 0xABE2), "Miao": (0x16F00, 0x16F4A), "Mongolian": (0x1820, 0x1842),
    "New Tai Lue": (0x1980, 0x19AB), "Newa": (0x11400, 0x11434), "Nyiakeng Puachue Hmong": (0x1E100, 0x1E12C),
    "Ol Chiki": (0x1C50, 0x1C77), "Osage": (0x104B0, 0x104D3), "Saurashtra": (0xA882, 0xA8B3),
    "Sundanese": (0x1B83, 0x1BA0), "Syloti Nagri": (0xA807, 0xA80A), "Syriac": (0x710, 0x72F),
    "Tai Le": (0x1950, 0x196D), "Tai Tham": (0x1A20, 0x1A54), "Tai Viet": (0xAA80, 0xAAAF), "Vai": (0xA500, 0xA60B),
    "Tagalog": (0x1703, 0x1711), "Wancho": (0x1E2C0, 0x1E2EB), "Yi": (0xA000, 0xA0FF),
}  # fmt: skip
PARTS = {"Canadian Aboriginal": (0x1401, 0x166C), "N'Ko": (0x7CA, 0x7EA), "Tifinagh": (0x2D30, 0x2D67)}
WHOLE = {"Lisu": (0xA4D0, 0xA4FF), "Braille": (0x2800, 0x28FF), "Ogham": (0x1681, 0x169A)}


@pytest.mark.parametrize("script", [*LACKING, *PARTS, *WHOLE])
def test_documents_name_scripts_that_lack_glyphs(render: Bench, site: Site, script: str) -> None:
    first, last = (LACKING | PARTS | WHOLE)[script]
    letters = [chr(code) for code in range(first, last + 1) if unicodedata.category(chr(code))[0] in "LNS"]
    # In separate paragraphs, because a letter without a glyph also affects the letters beside it.
    answer = render(site.page("/letters", "<p>".join(letters)))
    lacking = missing_glyphs(read_pdf(answer))
    assert answer.report is not None
    assert (answer.report.verdict == "complete") == (lacking == 0)
    assert bool(lacking) == (script not in WHOLE)
    assert (script not in PARTS) or lacking < len(letters)
    text = " ".join((ROOT / "docs" / "options.md").read_text(encoding="utf-8").split())  # lines wrap within names
    assert (script in text) == (script not in WHOLE)


def test_character_without_a_glyph_is_noticed(render: Bench, site: Site) -> None:
    """Shows that the tests above can fail: no font of the layer has cuneiform."""
    assert missing_glyphs(read_pdf(render(site.page("/none", "<p>𒀀𒀁")))) > 0


@pytest.mark.parametrize(
    "style",
    [
        "opacity: .5", "mix-blend-mode: multiply", "mask-image: linear-gradient(#000, transparent)",
        "background: linear-gradient(red, blue); background-clip: text; color: transparent",
        "font-family: 'Noto Sans CJK SC'",  # is embedded with one byte for each glyph
        "font-family: 'Noto Sans CJK SC'; text-rendering: geometricPrecision",  # several glyphs in one text
        "transform: rotate(5deg) scale(.5)",
    ],
)  # fmt: skip
def test_character_without_a_glyph_is_named_in_every_style(render: Bench, site: Site, style: str) -> None:
    answer = render(site.page("/style", f'<div style="{style}"><p>some text 港口<p>𒀀𒀁𒀂 text</div>'))
    assert answer.report is not None
    assert (answer.report.verdict, "CUNEIFORM" in answer.report.glyphs_missing) == ("degraded", True)
    answer = render(site.page("/whole", f'<div style="{style}"><p>some text 港口<p>more text</div>'))
    assert answer.report is not None
    assert (answer.report.verdict, answer.report.glyphs_missing) == ("complete", ())


def test_loaded_font_is_used_from_the_next_launch_on(render: Bench, site: Site, layer: Layer) -> None:
    """Loads a copy of a font under another family name."""
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
    """The configuration names the fonts of the layer and of load_font(), and includes no other configuration."""
    text = (layer.files / "fonts.conf").read_text()
    text = re.sub("<!--.*?-->", "", text, flags=re.DOTALL)
    assert re.findall(r"<dir.*?>(.*?)</dir>", text) == ["fonts", "~/.fonts"]
    assert "<include" not in text


def test_every_font_has_its_licence(layer: Layer) -> None:
    licences = {path.stem for path in (layer.files / "licences").iterdir()}
    for font in (layer.files / "fonts").rglob("*.tt?"):
        assert LICENCES[font.stem.partition("_")[0].partition("-")[0]] in licences, font.name


def letters(text: str) -> set[str]:
    """Returns the letters of a text; NFKC turns presentation forms, which Arabic prints, into letters."""
    return {letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter)[0] in "L"}


def fonts_of(pdf: PdfReader) -> set[str]:
    return {str(font.get("/BaseFont", font.get("/FontDescriptor", {}))) for font in _fonts(pdf).values()}


def missing_glyphs(pdf: PdfReader) -> int:
    """Returns how often a PDF shows glyph 0, which is .notdef; 2-byte codes are glyph ids (Identity-H)."""
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
    """Returns the colours that the glyph drawings and forms of a PDF set."""
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
