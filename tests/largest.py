"""The largest message and the largest report that the models accept."""

from __future__ import annotations

from urlshot.core.identity import private_id
from urlshot.core.messages import StartMessage
from urlshot.core.options import MAX_CSS_BYTES, MAX_SELECTOR, MAX_SELECTORS, Options
from urlshot.core.private import MAX_ALL, MAX_HEADERS, Private
from urlshot.core.records import new_generation, now
from urlshot.core.render_contract import MOST, Hop, Report, Trouble, Wait, Warned

URL = "https://example.com/".ljust(2048, "a")
LARGEST_MESSAGE = StartMessage(
    id=private_id(),
    generation=new_generation(),
    url=URL,
    options=Options(
        css='"' * MAX_CSS_BYTES, hide=tuple("#" + "b" * (MAX_SELECTOR - 4) + f"{n:03}" for n in range(MAX_SELECTORS))
    ),
    requested_at=now(),
    private=Private.model_validate(
        {
            # JSON escapes each quotation mark, which doubles its length.
            "headers": {f"x-{number}": '"' * ((MAX_ALL - 200) // MAX_HEADERS) for number in range(MAX_HEADERS)},
        }
    ),
)
LARGEST_REPORT = Report(
    warnings=tuple(Warned(code="c" * 40, text="t" * 300) for _ in range(MOST)),
    final_url=URL,
    status=200,
    title="é" * 500,
    pages=1,
    bytes=1,
    sha256="0" * 64,
    redirects=tuple(Hop(url=URL, status=302) for _ in range(MOST)),
    waited=tuple(Wait(what="w" * 40, milliseconds=1.5) for _ in range(MOST)),
    failed=tuple(Trouble(url="u" * 500, reason="r" * 200) for _ in range(MOST)),
    blocked=tuple(Trouble(url="u" * 500, reason="r" * 200) for _ in range(MOST)),
    console=tuple("é" * 2000 for _ in range(MOST)),
    images_missing=tuple("i" * 2000 for _ in range(MOST)),
    phases={},
    network={},
    chromium="",
    cold=False,
)
