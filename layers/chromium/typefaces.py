"""The fonts of the layer, for build.py: which files of which packages, and what is left out of them.

They lie in the layer as they are, 34 MB: there is room for them, and nothing has to be guessed about what a page will
need.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent

DEJAVU = [
    *("Sans", "Sans-Bold", "SansMono", "SansMono-Bold", "SansMono-Oblique", "SansMono-BoldOblique"),
    *("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
]
"""Faces of DejaVu, beside Open Sans, which Chromium's package brings: serifs, fixed width, many symbols, and Arabic.

Arabic is DejaVu's as far as DejaVu has it: Noto Sans Arabic composes letters of strokes and dots without a Unicode
value, so that text in the PDF could neither be found nor copied (measured). It has the letters that DejaVu lacks.
"""

SCRIPTS = [
    *(
        "arabic",
        "armenian",
        "bengali",
        "devanagari",
        "ethiopic",
        "georgian",
        "gujarati",
        "gurmukhi",
        "kannada",
        "khmer",
    ),
    *("lao", "malayalam", "myanmar", "oriya", "sinhala", "tamil", "telugu", "thaana", "thai"),
]
NOTO = {
    **{f"noto-sans-{script}": f"NotoSans{script.capitalize()}" for script in SCRIPTS},
    "noto-serif-tibetan": "NotoSerifTibetan",
    "noto-sans-math": "NotoSansMath",
    "noto-sans-symbols": "NotoSansSymbols",
    "noto-sans-symbols-2": "NotoSansSymbols2",
}
"""Packages of @expo-google-fonts, in two weights where there are two. With Open Sans, which has Latin, Greek, Cyrillic
and Hebrew, and with Noto Sans CJK they cover the scripts in everyday use (Unicode Standard Annex 31, table 5).
"""

MUSIC = "@fontsource/noto-music"
"""Musical notation, which @expo-google-fonts does not have; only as WOFF."""

OPEN_SANS = "Copyright 2020 The Open Sans Project Authors (https://github.com/googlefonts/opensans)"

INPUTS = ["fonts 3", *DEJAVU, *NOTO, (HERE / "requirements-fonts.txt").read_text()]
"""Parts of the key of what is cached; raise the number when the steps below change what they make."""

EMOJI_UNUSED = frozenset({b"SVG "})
"""20 of the emoji font's 25 MB: each picture once more, as SVG. Chromium paints from COLR (OpenType 1.9, version 1)."""


def collect(fetched: Callable[[str], Path], target: Path) -> None:
    """Puts the fonts and their licences into `target`; `fetched` finds a file below node_modules."""
    licences = target / "licences"
    licences.mkdir()
    dejavu = target / "fonts" / "DejaVu"
    dejavu.mkdir(parents=True)
    for face in DEJAVU:
        shutil.copy(fetched(f"dejavu-fonts-ttf/ttf/DejaVu{face}.ttf"), dejavu)
    shutil.copy(fetched("dejavu-fonts-ttf/LICENSE"), licences / "dejavu.txt")

    noto = target / "fonts" / "Noto"
    noto.mkdir()
    for package, name in NOTO.items():
        for font in sorted(fetched(f"@expo-google-fonts/{package}").glob(f"*/{name}_[47]00*.ttf")):
            shutil.copy(font, noto)
        shutil.copy(fetched(f"@expo-google-fonts/{package}/LICENSE_FONT"), licences / f"{package}.txt")
    music = fetched(f"{MUSIC}/files/noto-music-music-400-normal.woff").read_bytes()
    (noto / "NotoMusic_400Regular.ttf").write_bytes(from_woff(music))
    shutil.copy(fetched(f"{MUSIC}/LICENSE"), licences / "noto-music.txt")
    emoji = fetched("@expo-google-fonts/noto-color-emoji")
    content = (emoji / "400Regular" / "NotoColorEmoji_400Regular.ttf").read_bytes()
    (noto / "NotoColorEmoji.ttf").write_bytes(without_tables(content, EMOJI_UNUSED))
    shutil.copy(emoji / "LICENSE_FONT", licences / "noto-color-emoji.txt")
    # Chromium's package brings Open Sans without its licence, which is the same one below another name.
    _, line, terms = (emoji / "LICENSE_FONT").read_text().partition("\n")
    (licences / "open-sans.txt").write_text(OPEN_SANS + line + terms)

    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--target", work]
        subprocess.run([*command, "-r", str(HERE / "requirements-fonts.txt")], check=True)
        for font in Path(work).glob("noto_cjk_*/*.tt[cf]"):
            shutil.copy(font, noto)
        for licence in Path(work).glob("noto_cjk_*.dist-info/licenses/LICENSE"):
            shutil.copy(licence, licences / "noto-sans-cjk.txt")


def without_tables(font: bytes, unused: frozenset[bytes]) -> bytes:
    """A TrueType or OpenType font without some of its tables (OpenType 1.9, "Organization of an OpenType font")."""
    version, count = struct.unpack_from(">4sH", font)
    tables = [struct.unpack_from(">4sIII", font, 12 + 16 * index) for index in range(count)]
    kept = [(tag, checksum, font[at : at + length]) for tag, checksum, at, length in tables if tag not in unused]
    return _assembled(version, kept)


def from_woff(font: bytes) -> bytes:
    """The TrueType or OpenType font in a WOFF file ("WOFF File Format 1.0", W3C), whose tables zlib has compressed."""
    signature, version, count = struct.unpack_from(">4s4s4xH", font)
    if signature != b"wOFF":
        raise ValueError("not a WOFF file")
    tables = []
    for index in range(count):
        tag, at, packed, length, checksum = struct.unpack_from(">4sIIII", font, 44 + 20 * index)
        content = font[at : at + packed]
        tables.append((tag, checksum, zlib.decompress(content) if packed < length else content))
    return _assembled(version, tables)


def _assembled(version: bytes, tables: list[tuple[bytes, int, bytes]]) -> bytes:
    """A font of these tables: tag, checksum and content, in the order of their tags.

    The checksum in `head` covers the whole file and is written anew, as the specification asks.
    """
    power = 1 << (len(tables).bit_length() - 1)
    head = struct.pack(
        ">4sHHHH", version, len(tables), 16 * power, power.bit_length() - 1, 16 * (len(tables) - power)
    )  # fmt: skip
    directory, body, adjustment = b"", b"", 0
    for tag, checksum, original in tables:
        place = len(head) + 16 * len(tables) + len(body)
        content = original
        if tag == b"head":
            adjustment = place + 8
            content = content[:8] + b"\0\0\0\0" + content[12:]
        directory += struct.pack(">4sIII", tag, checksum, place, len(content))
        body += content + b"\0" * (-len(content) % 4)
    made = bytearray(head + directory + body)
    total = sum(struct.unpack(f">{len(made) // 4}I", made)) & 0xFFFFFFFF
    struct.pack_into(">I", made, adjustment, (0xB1B0AFBA - total) & 0xFFFFFFFF)
    return bytes(made)
