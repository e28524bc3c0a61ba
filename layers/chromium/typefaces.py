"""Collects the layer's fonts for build.py from several packages.

The fonts are complete and uncompressed, 34 MB: the layer has enough space, and nobody can know which characters a page
will need.
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
"""Faces of DejaVu, for serifs, fixed width, many symbols and Arabic; Open Sans comes with Chromium's package.

DejaVu is preferred for the Arabic that it has: Noto Sans Arabic composes letters of strokes and dots without a Unicode
value, so text in the PDF could neither be found nor copied (measured). Noto has the letters that DejaVu lacks.
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
"""Packages of @expo-google-fonts with their font names, in the weights regular and bold if they have both.

Together with Open Sans (Latin, Greek, Cyrillic, Hebrew) and Noto Sans CJK they cover the scripts in everyday use
(Unicode Standard Annex 31, table 5).
"""

MUSIC = "@fontsource/noto-music"
"""A font of musical notation, which @expo-google-fonts does not have. The package contains WOFF files only."""

OPEN_SANS = "Copyright 2020 The Open Sans Project Authors (https://github.com/googlefonts/opensans)"

INPUTS = ["fonts 3", *DEJAVU, *NOTO, (HERE / "requirements-fonts.txt").read_text()]
"""Parts of the cache key. Raise the number when a step below changes its result."""

EMOJI_UNUSED = frozenset({b"SVG "})
"""Tables to remove from the emoji font: its SVG pictures, 20 of 25 MB. Chromium uses COLR instead (OpenType 1.9)."""


def collect(fetched: Callable[[str], Path], target: Path) -> None:
    """Puts the fonts and their licences into `target`; `fetched` returns a file or folder under node_modules."""
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
    # Chromium's package contains Open Sans without its licence. It is the same licence with another copyright line.
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
    """Removes tables from a TrueType or OpenType font (OpenType 1.9, "Organization of an OpenType font")."""
    version, count = struct.unpack_from(">4sH", font)
    tables = [struct.unpack_from(">4sIII", font, 12 + 16 * index) for index in range(count)]
    kept = [(tag, checksum, font[at : at + length]) for tag, checksum, at, length in tables if tag not in unused]
    return _assembled(version, kept)


def from_woff(font: bytes) -> bytes:
    """Converts a WOFF file, whose tables are compressed by zlib, to its font ("WOFF File Format 1.0", W3C)."""
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
    """Assembles a font from its tables, which are sorted by tag.

    The checksum in `head` covers the whole file, so it is computed again, as the specification requires.

    Args:
        version: The first four bytes of the font.
        tables: Tag, checksum and content of each table.
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
