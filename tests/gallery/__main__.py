"""`python -m tests.gallery FOLDER` writes all PDFs of the gallery, and one page with pictures of them.

With the folder of an earlier gallery as a second argument it also prints which pages look different.
"""

from __future__ import annotations

import html
import sys
from pathlib import Path

from PIL import Image, ImageChops

from urlshot.core.options import Options
from urlshot.core.render_contract import RenderAnswer

from .facts import GALLERY
from .row import Facts
from .studio import Printed, Studio, open_studio

SHOWN = 4
"""Pages of a PDF that get a picture."""
DPI = 60
STRANGE = 0.002
"""Largest share of differing pixels of a page that counts as unchanged."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>urlshot's gallery</title><style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; background: #eee }
section { margin: 0 0 2rem; padding: 1rem; background: #fff } h2 { margin: 0; font-size: 1.1rem }
p { margin: .2rem 0 .8rem; color: #555 } img { border: 1px solid #999; margin-right: .6rem; vertical-align: top }
</style><h1>urlshot's gallery</h1>"""


def main(folder: Path, earlier: Path | None) -> int:
    """Writes the gallery; returns the number of pages that could not be rendered or look different."""
    folder.mkdir(parents=True, exist_ok=True)
    sections, odd = [], 0
    with open_studio() as studio:
        for number, facts in enumerate(GALLERY, 1):
            if facts.options.keys() - Options.model_fields.keys():
                continue
            name = f"{number:02}-{facts.page.strip('/')}"
            answer = studio.render(facts.page, facts.options)
            if answer.pdf is None:
                odd += 1
                print(f"{name}: {answer.error}")
                continue
            pictures = _write(folder, name, Printed(answer))
            sections.append(_section(studio, facts, name, answer, pictures))
            for picture in _changed(pictures, earlier):
                odd += 1
                print(f"{picture} looks different")
    (folder / "index.html").write_text(_PAGE + "\n".join(sections) + "\n", encoding="utf-8")
    print(f"{len(sections)} PDFs: open {folder / 'index.html'}")
    return odd


def _write(folder: Path, name: str, printed: Printed) -> list[Path]:
    (folder / f"{name}.pdf").write_bytes(printed.bytes)
    places = []
    for page in range(1, min(len(printed.reader.pages), SHOWN) + 1):
        place = folder / f"{name}-{page}.png"
        printed.picture(page, DPI).save(place)
        places.append(place)
    return places


def _section(studio: Studio, facts: Facts, name: str, answer: RenderAnswer, pictures: list[Path]) -> str:
    report = answer.report
    assert report is not None
    said = [f"{report.pages} pages", f"{report.bytes:,} bytes", f"{sum(report.phases.values()):.0f} ms"]
    verdict = getattr(report, "verdict", "")
    said += [verdict, *(warning.text for warning in getattr(report, "warnings", ()))] if verdict else []
    said += [str(facts.options)] if facts.options else []
    images = "".join(f'<a href="{name}.pdf"><img src="{picture.name}" alt=""></a>' for picture in pictures)
    title = html.escape(f"{name}: {report.title}")
    return f"<section><h2>{title}</h2><p>{html.escape(' · '.join(said))}</p>{images}</section>"


def _changed(pictures: list[Path], earlier: Path | None) -> list[Path]:
    """Returns the pictures that differ from those of the earlier gallery."""
    return [picture for picture in pictures if earlier is not None and not _alike(picture, earlier / picture.name)]


def _alike(one: Path, other: Path) -> bool:
    if not other.is_file():
        return False
    with Image.open(one) as now, Image.open(other) as before:
        if now.size != before.size:
            return False
        difference = ImageChops.difference(now.convert("RGB"), before.convert("RGB")).convert("L").histogram()
    return sum(difference[33:]) <= STRANGE * sum(difference)


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        raise SystemExit("usage: python -m tests.gallery FOLDER [EARLIER]")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None) > 0)
