"""The second part of the table: classes of pages for which a wrong verdict is easy to make.

docs/rendering.md says what happens to each class.
"""

from __future__ import annotations

from typing import Any

from .row import BLUE, EDGELESS, GREEN, RED, Facts, Ink

_SINGLE = {"single_page": True}
_TALL = (210, 0)
"""A sheet of any height."""
_CUT: dict[str, Any] = {"verdict": "degraded", "warnings": ("document_cut",)}
_HIDDEN: dict[str, Any] = {"verdict": "degraded", "warnings": ("content_cut",)}
_COVERED: dict[str, Any] = {"verdict": "degraded", "warnings": ("content_covered",)}
_UNSETTLED: dict[str, Any] = {"verdict": "degraded", "warnings": ("not_settled",)}
_FAILED: dict[str, Any] = {"verdict": "degraded", "warnings": ("resources_failed",)}

# Every document and every shadow root counts. The marks in the PDF decide, not the page's own account.
WHOLE = [
    Facts("shadow-animation", "Shadow animation", ("appeared",), ink=(Ink(RED, (0.1, 0.05, 0.9, 0.15)),)),
    Facts("shadow-late", "Shadow late", ("count 20", "closed 12")),
    Facts("shadow-images", "Shadow images", ("above",), images=1, pages=(3, 4)),
    Facts(
        "shadow-broken",
        "Shadow broken",
        ("text",),
        verdict="degraded",
        warnings=("resources_failed", "images_missing"),
    ),
    Facts("shadow-only", "Shadow only", ("The whole", "application is in here")),
    Facts(
        "shadow-declared-closed",
        "Shadow declared closed",
        ("Declared and closed",),
        images=1,
        pages=(3, 4),
        ink=(Ink(RED, (0.3, 0.02, 0.95, 0.1)),),
        options=EDGELESS,
    ),
    Facts("shadow-declared", "Shadow declared", ("Declared", "without a script")),
    Facts("frame-late", "Frame late", ("outside", "came late in the frame"), ("skeleton",)),
    Facts("frames-in-frames", "Frames in frames", ("outside", "came late in the frame")),
    Facts("sandboxed", "Sandboxed", ("outside", "in the sandbox"), images=1),
    Facts("svg-animation", "SVG animation", ink=(Ink(RED, (0.02, 0.02, 0.9, 0.25)),), options=EDGELESS),
    Facts("frames-only", "Frames only", ("from within the frame", "came late in the frame")),
    Facts("green.svg", "", ink=(Ink(GREEN, (0.2, 0.42, 0.8, 0.58)),)),
    Facts("document.xml", "A note", ("first line", "second line")),
    Facts("styled.xml", "Styled", ("note: first", "note: second")),
    Facts("torn.xml", "Torn", ("the beginning",), ("the rest",), **_CUT),
    Facts("many-charts", "Many charts", ink=(Ink(GREEN, (0.02, 0.02, 0.98, 0.2)),), options=EDGELESS),
]

# Work of scripts that ends soon is waited for; endless work is not.
AT_REST = [
    Facts("starts-late", "Starts late", ("came after a timer and a request",)),
    Facts("idle-work", "Idle work", ("worked out in idle time",)),
    Facts("storage", "Storage", ("read from storage",)),
    Facts("socket", "Socket", ("came by socket",)),
    Facts("socket-asked", "Socket asked", ("came by socket",)),
    Facts("stream", "Stream", ("came by stream",)),
    Facts("silent-socket", "Silent socket", ("skeleton",), verdict="degraded", warnings=("not_settled",)),
    Facts("answer-never", "Answer never", ("skeleton",), **_UNSETTLED),
    Facts("answer-later", "Answer later", ("An article",)),
    Facts("frame-never", "Frame never", ("the text",), **_UNSETTLED),
    Facts("live-article", "Live article", ("An article", "nothing to say")),
    Facts("debounced", "Debounced", ("came when the calls had ended",)),
    Facts("worker", "Worker", ("worked out beside the page",)),
    Facts("unread", "Unread request", ("needs no answer",)),
    Facts("read-in-parts", "Read in parts", ("drop by drop till done",)),
    Facts("sleeps", "Sleeps", ("came after six short sleeps",)),
    Facts("counted", "Counted", ("came at the eighth beat",)),
    Facts("scheduled", "Scheduled", ("came by the scheduler",)),
    Facts("looks-again", "Looks again", ("is there from the beginning",)),
    Facts("late-timer", "Late timer", ("came after a second and a half",)),
    Facts("late-timers", "Late timers", ("the first part, and the second",)),
    Facts("late-promise", "Late promise", ("came after a long sleep",)),
    Facts("late-frame", "Late frame", ("outside", "came late in the frame")),
    Facts("polls-in-vain", "Polls in vain", ("the text",)),
    Facts("clock", "Clock", ("the text is here",)),
    Facts("own-timers", "Own timers", ("came by a timer of its own",)),
    Facts("inline-handler", "Inline handler", ("came without a script element",)),
]

# Every screen is held until observers and listeners have run, in the window and in scrolling boxes.
SCROLLED = [
    Facts("every-screen", "Every screen", tuple(f"row {row} seen" for row in range(60)), ("unseen",), pages=(3, 5)),
    Facts("only-in-sight", "Only in sight", tuple(f"shown {part}" for part in range(8)), pages=(3, 5)),
    Facts(
        "throttled-scroll",
        "Throttled scroll",
        tuple(f"part {part} seen" for part in range(16)),
        ("unseen",),
        pages=(4, 6),
    ),
    Facts(
        "scroll-timeline",
        "Scroll timeline",
        ("above", "appears on the way"),
        pages=(2, 2),
        ink=(Ink(RED, (0.1, 0.02, 0.9, 0.1), 0.5, page=2),),
    ),
    Facts(
        "virtual-list",
        "Virtual list",
        ("item 0", "item 20"),
        ("item 100",),
        pages=(7, 10),
        verdict="degraded",
        warnings=("content_cut",),
    ),
    Facts("inner-scroll", "Inner scroll", ("row 1", "row 21", "row 60"), pages=(3, 6)),
    Facts("endless", "Endless", ("more",), pages=(10, 200), verdict="degraded", warnings=("scroll_limit",)),
    Facts("grows-slowly", "Grows slowly", ("more",), pages=(3, 60), verdict="degraded", warnings=("scroll_limit",)),
]

# Print media and print events come before the last wait.
PRINTED = [
    Facts(
        "print-only-images",
        "Print only images",
        images=2,
        fonts=("UrlshotSquares",),
        ink=(Ink(RED, (0.02, 0.01, 0.98, 0.15)), Ink(BLUE, (0.02, 0.26, 0.5, 0.4))),
        options=EDGELESS,
    ),
    Facts("sheet-pictures", "Sheet pictures", images=1, ink=(Ink(BLUE, (0.02, 0.02, 0.98, 0.2)),), options=EDGELESS),
    Facts("before-print", "Before print", ("made for print 1 time",)),
    Facts("print-listener", "Print listener", ("drawn for print",)),
    *(
        Facts(page, title, (*first, "THE END"), size=_TALL, options=_SINGLE)
        for page, title, first in (
            ("hero-screen", "Hero screen", ("HERO", "paragraph")),
            ("body-screen", "Body screen", ("paragraph",)),
            ("app-screen", "App screen", ("paragraph",)),
            ("tall-before", "Tall before", ("paragraph",)),
            ("own-sheets", "Own sheets", ("chapter one", "chapter two")),
        )
    ),
]

# Content that does not fit is made to fit if that is safe, and else causes a warning.
FITTED = [
    Facts("app-shell", "App shell", ("the menu", "row 1", "row 40"), pages=(3, 6)),
    Facts("fixed-shell", "Fixed shell", ("the head", "row 1", "row 40", "the foot"), pages=(3, 6)),
    Facts("scroll-lock", "Scroll lock", ("row 1", "row 40"), pages=(3, 6)),
    Facts("wide-code", "Wide code", ("before", "word0"), ("word59",), verdict="degraded", warnings=("content_cut",)),
    Facts("inner-scroller", "Inner scroller", ("line",), ("last line",), verdict="degraded", warnings=("content_cut",)),
    Facts("frame-cut", "Frame cut", ("outside", "line"), ("last line",), verdict="degraded", warnings=("content_cut",)),
    Facts("cards", "Cards", ("card 1",), ("card 7",), verdict="degraded", warnings=("content_cut",)),
    Facts("cards", "Cards", ("card 1", "card 7"), options={"fit": "width"}),
    Facts(
        "sliding-cards",
        "Sliding cards",
        ("before", "card 1"),
        ("card 7",),
        verdict="degraded",
        warnings=("content_cut",),
    ),
    Facts("opened-for-print", "Opened for print", ("line", "last line")),
    Facts(
        "clipped-block",
        "Clipped block",
        ("before", "line"),
        ("last line",),
        verdict="degraded",
        warnings=("content_cut",),
    ),
    Facts("corner-ribbon", "Corner ribbon", ("the card",), ("the next card",)),
    Facts("carousel", "Carousel", ("text", "slide one")),
    Facts("hidden-by-design", "Hidden by design", ("the text",), ("a drawer", "a closed panel")),
]

# Folded text and values that do not fit their fields cause a warning; content that is hidden by design does not.
FOLDED = [
    Facts("read-more", "Read more", ("the beginning",), **_HIDDEN),
    Facts("read-more-fade", "Read more fade", ("the beginning",), **_HIDDEN),
    Facts("read-more-list", "Read more list", ("the beginning",), **_HIDDEN),
    Facts("read-more-lines", "Read more lines", ("the beginning",), **_HIDDEN),
    Facts("read-more-shadow", "Read more shadow", ("the beginning",), **_HIDDEN),
    Facts("read-more-print", "Read more print", ("the beginning", "the end of it")),
    Facts("teasers", "Teasers", ("the beginning",)),
    Facts("preview-and-text", "Preview and text", ("The whole", "the end of it")),
    Facts("tickers", "Tickers", ("the text",)),
    Facts("uneven-slides", "Uneven slides", ("the text", "slide one")),
    Facts("for-screen-readers", "For screen readers", ("the text",)),
    Facts("tight-boxes", "Tight boxes", ("the text",)),
    Facts("long-values", "Long values", ("Address",), **_HIDDEN),
    Facts("long-notes", "Long notes", **_HIDDEN),
    Facts("unwrapped-notes", "Unwrapped notes", **_HIDDEN),
    Facts("short-values", "Short values", ("fits", "the text")),
]

# Boxes that stay in place are printed on every sheet. Those that hide lines cause a warning.
COVERED = [
    Facts("wall", "Wall", ("Accept or leave",), pages=(1, 3), **_COVERED),
    Facts("wall-of-two", "Wall of two", ("Accept or leave",), pages=(2, 6), **_COVERED),
    Facts("dialog-open", "Dialog open", ("Subscribe",), pages=(2, 6), **_COVERED),
    Facts("fixed-header", "Fixed header", ("line 0.", "THE HEADER", "line 59."), pages=(2, 3)),
    Facts("fixed-bottom-bar", "Fixed bottom bar", ("line 59.",), every="THE BAR", pages=(2, 3), **_COVERED),
    Facts("fixed-header", "Fixed header", ("line 59.",), pages=(2, 3), options={"hide": ["header"]}),
    Facts("fixed-header-print", "Fixed header print", ("THE HEADER", "line 0.", "line 59."), pages=(2, 3)),
    Facts("fixed-header-short", "Fixed header short", ("the text",), every="THE HEADER"),
    Facts("fixed-behind", "Fixed behind", ("line 0.", "line 59."), pages=(2, 3)),
]

# Content that paper cannot show causes a warning.
FOREIGN = [
    Facts("filtered", "Filtered", images=1, verdict="degraded", warnings=("text_as_picture",)),
    Facts("shadowed-logo", "Shadowed logo", ("plain text",), images=1),
    Facts("no-webgl", "No WebGL", ("the text",), verdict="degraded", warnings=("webgl_missing",)),
    Facts("asks-for-webgl", "Asks for WebGL", ("the text", "does without")),
    Facts("framed-paper", "Framed paper", ("the text",), verdict="degraded", warnings=("plugins_missing",)),
    Facts("no-poster", "No poster", ("the text",), verdict="degraded", warnings=("media_missing",)),
    Facts("object-instead", "Object instead", ("the text", "the words instead")),
]

# If loading ends without a load event, the wait ends.
ENDED = [
    Facts("deep-link", "Deep link", ("still here",), verdict="degraded", warnings=("document_cut",)),
    Facts("deep-link-later", "Deep link later", ("still here", "the rest")),
    Facts("no-content", "No content", ("still here", "the rest")),
    Facts("downloads", "Downloads", ("still here", "the rest")),
    Facts("written-again", "Written again", ("the second",)),
    Facts("posts-away", "Posts away", ("still here", "the rest")),
    Facts("stopped", "Stopped", ("still here", "the rest"), verdict="degraded", warnings=("images_missing",)),
    Facts("/short", "Cut short", ("the beginning",), verdict="degraded", warnings=("document_cut",)),
    Facts("/unchunked", "Cut short", ("the beginning",), verdict="degraded", warnings=("document_cut",)),
    Facts(
        "short-style",
        "Short style",
        ("still here",),
        verdict="degraded",
        warnings=("document_cut", "resources_failed"),
    ),
]

# Compressed bodies that break off within a complete message, and sources that end in the middle.
PACKED = [
    *(
        Facts(f"/cut/{coding}/blocks.html", "Blocks", ("the first block",), ("the last block",), **_CUT)
        for coding in ("gzip", "deflate", "raw")
    ),
    *(
        Facts(f"/packed/{coding}/blocks.html", "Blocks", ("the first block", "the last block"))
        for coding in ("gzip", "deflate", "raw")
    ),
    Facts("/cut/plain/blocks.html", "Blocks", ("the first block",), ("the last block",), **_CUT),
    Facts("blocks", "Blocks", ("the first block", "the last block")),
    Facts("cut-style", "Cut style", ("the text",), **_CUT),
    Facts("cut-frame", "Cut frame", ("the text",), ("the last block",), **_CUT),
    Facts("cut-script", "Cut script", ("the text",), **_FAILED),
    Facts("cut-font", "Cut font", ("the text",), **_FAILED),
    Facts("cut-font-plain", "Cut font plain", ("the text",), **_FAILED),
    Facts("cut-image", "Cut image", ("the text",), **_FAILED),
    Facts("packed", "Packed", ("the text", "WHOLE", "from the script"), fonts=("UrlshotSquares",)),
]

# Frames of another site, which the browser runs in processes of their own.
OTHER_SITES = [
    Facts("other-site-late", "Other site late", ("outside", "came late in the frame")),
    Facts("other-site-only", "Other site only", ("came late in the frame",)),
    Facts(
        "other-site-motion",
        "Other site motion",
        ("outside",),
        ink=(
            Ink(RED, (0.02, 0.07, 0.5, 0.11)),
            Ink(BLUE, (0.02, 0.15, 0.5, 0.19)),
            Ink(GREEN, (0.02, 0.23, 0.5, 0.27)),
        ),
        options=EDGELESS,
    ),
    Facts("other-site-lazy", "Other site lazy", ("outside", "above"), images=1, pages=(2, 3)),
    Facts(
        "other-site-broken",
        "Other site broken",
        ("outside", "text"),
        verdict="degraded",
        warnings=("resources_failed", "images_missing"),
    ),
    Facts("other-site-webgl", "Other site WebGL", ("the text",), verdict="degraded", warnings=("webgl_missing",)),
    Facts(
        "other-site-short",
        "Other site short",
        ("outside", "the first block"),
        ("the last block",),
        pages=(1, 2),
        **_CUT,
    ),
    Facts(
        "other-site-torn", "Other site torn", ("outside", "the first block"), ("the last block",), pages=(1, 2), **_CUT
    ),
    Facts("other-site-cut", "Other site cut", ("outside", "line"), ("last line",), **_HIDDEN),
    Facts("other-site-empty", "Other site empty", verdict="suspect", warnings=("near_blank",)),
]

# A page that navigates by script or refresh; the failures of the page before do not count.
AWAY = [
    *(
        Facts(f"away-{how}", "Arrived", ("the page that was meant", "whole"), ("the first",), images=1)
        for how in (
            "while-parsed",
            "chain",
            "by-meta",
            "at-load",
            "by-timer",
            "at-end",
            "slowly",
            "with-failures",
            "after-a-second",
        )
    ),
    Facts("reloads-itself", "Reloads itself", ("the text",)),
    Facts("arrived", "Arrived", ("the page that was meant", "whole"), images=1),
    Facts("pushed-state", "Pushed state", ("the page", "the rest")),
]

CLASSES = [
    *WHOLE,
    *AT_REST,
    *SCROLLED,
    *PRINTED,
    *FITTED,
    *FOLDED,
    *COVERED,
    *FOREIGN,
    *ENDED,
    *PACKED,
    *OTHER_SITES,
    *AWAY,
]
