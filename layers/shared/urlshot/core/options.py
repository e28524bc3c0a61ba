"""Defines the options of a render: one strict model for the API, the queue and the renderer."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from urlshot.core.errors import Rejected

_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "px": 25.4 / 96}
_LENGTH = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)(mm|cm|in|pt|px)")
_RANGE = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")

MAX_MARGIN_MM = 100.0
MIN_SIDE_MM, MAX_SIDE_MM = 10.0, 5000.0
"""A page of a PDF has at most 14,400 units, which are 5,080 mm (ISO 32000-1, annex C)."""
TEMPLATE_MM = 8.0
"""Least margin for a header or footer; with less it is cut off."""
MAX_CSS_BYTES = 20_000
MAX_SELECTORS = 50
MAX_SELECTOR = 200
"""Most characters of one selector."""


def millimetres(length: str) -> float:
    """Returns a validated length in millimetres."""
    return float(length.removesuffix("mm"))


def _length(value: object, most: float = MAX_MARGIN_MM) -> str:
    """Converts a length such as `0.5in`, `2cm` or `24px` to millimetres, so that equal lengths compare equal."""
    match = _LENGTH.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a length with a unit: mm, cm, in, pt or px, such as '10mm'")
    found = round(float(match[1]) * _MM[match[2]], 2)
    if found > most:
        raise ValueError(f"must be at most {most:g}mm")
    return f"{found:.2f}".rstrip("0").rstrip(".") + "mm"


def _side(value: object) -> str:
    """Converts a side of the paper to millimetres; the empty string stays empty."""
    found = _length(value, MAX_SIDE_MM) if value != "" else ""
    if found and millimetres(found) < MIN_SIDE_MM:
        raise ValueError(f"must be at least {MIN_SIDE_MM:g}mm")
    return found


def _names(value: object) -> object:
    """Sorts a list of names and removes duplicates."""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return tuple(sorted(set(value)))
    raise ValueError("must be a list of names")


def _page_ranges(value: object) -> str:
    """Normalizes page ranges such as `1-3,5`; the empty string means all pages."""
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("must be a string such as '1-3,5', of at most 200 characters")
    parts = []
    for part in filter(None, re.sub(r"\s", "", value).split(",")):
        match = _RANGE.fullmatch(part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ValueError(f"contains {part!r}, which is neither a page nor an ascending range such as '2-4'")
        parts.append(part)
    return ",".join(parts)


def _whole(text: str) -> str:
    """Returns the text if UTF-8 can encode it; JSON can contain lone surrogates, which UTF-8 cannot."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("contains a lone surrogate, which is half a character")
    return text


def _css(value: object) -> str:
    """Checks a style sheet, and removes the white space around it."""
    if not isinstance(value, str) or len(_whole(value).encode()) > MAX_CSS_BYTES:
        raise ValueError(f"must be a string of at most {MAX_CSS_BYTES:,} bytes")
    return value.strip()


def _selectors(value: object) -> tuple[str, ...]:
    """Sorts CSS selectors and removes duplicates. Only the browser can check their syntax."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of CSS selectors")
    selectors = {_whole(item).strip() for item in value}
    if len(selectors) > MAX_SELECTORS:
        raise ValueError(f"must have at most {MAX_SELECTORS} selectors")
    if not all(0 < len(selector) <= MAX_SELECTOR for selector in selectors):
        raise ValueError(f"must have selectors of 1 to {MAX_SELECTOR} characters")
    return tuple(sorted(selectors))


def _four(value: object) -> object:
    """Expands one length to the four sides of a margin."""
    return dict.fromkeys(("top", "right", "bottom", "left"), value) if isinstance(value, str) else value


# The checks of the validators above, as far as JSON Schema can express them, for the published contract.
_LENGTH_SCHEMA: dict[str, Any] = {"pattern": rf"^\s*{_LENGTH.pattern}\s*$", "examples": ["10mm"]}
_SIDE_SCHEMA: dict[str, Any] = {"pattern": rf"^(\s*{_LENGTH.pattern}\s*)?$", "examples": ["148mm"]}
_RANGES_SCHEMA: dict[str, Any] = {"maxLength": 200, "pattern": r"^[0-9,\s-]*$", "examples": ["1-3,5"]}
_CSS_SCHEMA: dict[str, Any] = {"maxLength": MAX_CSS_BYTES}
_SELECTORS_SCHEMA: dict[str, Any] = {
    "maxItems": MAX_SELECTORS,
    "items": {"type": "string", "minLength": 1, "maxLength": MAX_SELECTOR},
}

Length = Annotated[str, BeforeValidator(_length), Field(json_schema_extra=_LENGTH_SCHEMA)]
Side = Annotated[str, BeforeValidator(_side), Field(json_schema_extra=_SIDE_SCHEMA)]


class Margin(BaseModel):
    """The white space around the printed page."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    top: Length = "10mm"
    right: Length = "10mm"
    bottom: Length = "10mm"
    left: Length = "10mm"


class Metadata(BaseModel):
    """The PDF's document properties; an empty text leaves a property out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: str = Field(default="", max_length=500, description="Empty for the page's own title.")
    author: str = Field(default="", max_length=500)
    subject: str = Field(default="", max_length=500)
    keywords: str = Field(default="", max_length=500)


class Viewport(BaseModel):
    """The size of the browser window in CSS pixels; in print, the width of the paper replaces its width."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    width: int = Field(default=1280, ge=100, le=4000)
    height: int = Field(default=720, ge=100, le=4000)


class Options(BaseModel):
    """The options of a render. Unknown names are refused, and types are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["A0", "A1", "A2", "A3", "A4", "A5", "A6", "Letter", "Legal", "Tabloid", "Ledger"] = Field(
        default="A4", description="Paper format."
    )
    width: Side = Field(
        default="",
        description="Width of the paper, from 10mm to 5000mm, such as 148mm; together with height, instead of format.",
    )
    height: Side = Field(default="", description="Height of the paper, together with width.")
    landscape: bool = Field(default=False, description="Landscape orientation.")
    margin: Annotated[Margin, BeforeValidator(_four, json_schema_input_type=Margin | Length)] = Field(
        default=Margin(), description="White space around the printed page. One length sets all four sides."
    )
    background: bool = Field(default=True, description="Print background colours and images.")
    scale: float = Field(default=1.0, ge=0.1, le=2.0, description="Scale of the page's content.")
    fit: Literal["none", "width"] = Field(
        default="none",
        description="width: scale the page down until its widest content fits the paper. By default, content more than "
        "one and a half times as wide as the paper is cut off, with a warning.",
    )
    page_ranges: Annotated[str, BeforeValidator(_page_ranges)] = Field(
        default="",
        description="Pages to print, such as 1-3,5; empty for all.",
        json_schema_extra=_RANGES_SCHEMA,
    )
    css_page_size: bool = Field(default=False, description="If the page has an @page size, use it instead of format.")
    single_page: bool = Field(
        default=False,
        description="Print one long page, as high as the content, up to 5000mm. Its width comes from format or width.",
    )
    tagged: bool = Field(
        default=False,
        description="Add structure for screen readers. Off by default because of its cost (measured): a table of 2,400 "
        "cells grows from 22 to 769 kB and prints in 230 instead of 70 ms, an article grows from 39 to 91 kB.",
    )
    outline: bool = Field(default=False, description="Make bookmarks of the page's headings; needs tagged.")
    header_template: str = Field(
        default="",
        max_length=10_000,
        description="HTML for the top margin, which must be at least 8mm. Elements with the classes date, title, url, "
        "pageNumber and totalPages are filled in. Scripts do not run, and images must be data: URLs.",
    )
    footer_template: str = Field(default="", max_length=10_000, description="The same for the bottom margin.")
    page_numbers: bool = Field(default=False, description="A plain footer such as 3 / 12.")
    metadata: Metadata = Field(default=Metadata(), description="The PDF's properties.")
    media: Literal["print", "screen"] = Field(default="print", description="CSS media type.")
    color_scheme: Literal["light", "dark", "no-preference"] = Field(
        default="light", description="Value of the media feature prefers-color-scheme."
    )
    viewport: Viewport = Field(default=Viewport(), description="Window size in CSS pixels, from 100 to 4000.")
    device_scale: float = Field(default=1.0, ge=0.5, le=4.0, description="Device pixels per CSS pixel.")
    locale: str = Field(
        default="en-US",
        max_length=35,
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
        description="Language tag for Accept-Language, navigator.language and the format of numbers and dates.",
    )
    timezone: str = Field(
        default="UTC",
        max_length=40,
        pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$",
        description="Time zone, such as Europe/Berlin.",
    )
    user_agent: str = Field(
        default="", max_length=500, pattern=r"^[\x20-\x7e]*$", description="User agent; empty for the browser's own."
    )
    javascript: bool = Field(default=True, description="Run the page's scripts.")
    wait_until: Literal["settled", "load", "domcontentloaded", "networkidle"] = Field(
        default="settled",
        description=(
            "When to print the page. settled: when it is loaded with fonts and images and scrolled through, its "
            "animations have ended and the network is quiet. Otherwise: after this event of the page."
        ),
    )
    wait_for: str = Field(
        default="", max_length=500, description="CSS selector of an element; wait until it is visible."
    )
    wait_expression: str = Field(
        default="", max_length=2000, description="JavaScript expression; wait until it is true."
    )
    delay: float = Field(default=0.0, ge=0, le=20, description="Seconds to wait after all other conditions.")
    fail_on: Annotated[tuple[Literal["console", "resources", "status"], ...], BeforeValidator(_names)] = Field(
        default=("status",),
        description="What makes the job fail instead of adding a warning. status: an HTTP status of the page of 400 or "
        "more. resources: resources that did not load. console: errors of the page's scripts.",
    )

    css: Annotated[str, BeforeValidator(_css)] = Field(
        default="",
        description="CSS to add after the page's own, at most 20 kB; @import has no effect.",
        json_schema_extra=_CSS_SCHEMA,
    )
    hide: Annotated[tuple[str, ...], BeforeValidator(_selectors)] = Field(
        default=(),
        description="CSS selectors of elements to leave out of the print; at most 50, of at most 200 characters.",
        json_schema_extra=_SELECTORS_SCHEMA,
    )
    block: Annotated[tuple[Literal["ads", "fonts", "images", "media", "trackers"], ...], BeforeValidator(_names)] = (
        Field(
            default=(), description="What the page may not load. ads and trackers means those of known third parties."
        )
    )
    consent: Literal["keep", "reject"] = Field(
        default="keep", description="Cookie banners: keep them, or reject cookies, which takes up to 3 s."
    )

    @model_validator(mode="before")
    @classmethod
    def _paper_on_its_side(cls, value: object) -> object:
        """Exchanges width and height instead of keeping `landscape`, so that equal paper has one id."""
        if isinstance(value, dict) and value.get("landscape") is True and value.get("width") and value.get("height"):
            return {**value, "landscape": False, "width": value["height"], "height": value["width"]}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.width or self.height) and self.format != "A4":
            raise ValueError("width and height cannot be combined with format")
        if self.single_page:
            for name in ("height", "page_ranges", "css_page_size"):
                if getattr(self, name):
                    raise ValueError(f"single_page cannot be combined with {name}")
            if self.width and self.landscape:
                raise ValueError("single_page with width cannot be combined with landscape")
        elif bool(self.width) != bool(self.height):
            raise ValueError("width and height must be given together")
        if self.page_numbers and self.footer_template:
            raise ValueError("page_numbers cannot be combined with footer_template")
        if self.outline and not self.tagged:
            raise ValueError("outline needs tagged")
        if self.header_template and millimetres(self.margin.top) < TEMPLATE_MM:
            raise ValueError(f"header_template needs a margin.top of at least {TEMPLATE_MM:g}mm")
        if (self.footer_template or self.page_numbers) and millimetres(self.margin.bottom) < TEMPLATE_MM:
            raise ValueError(f"a footer needs a margin.bottom of at least {TEMPLATE_MM:g}mm")
        return self

    @property
    def has_templates(self) -> bool:
        """Whether a header or footer is printed."""
        return bool(self.header_template or self.footer_template or self.page_numbers)

    @property
    def waits(self) -> bool:
        """Whether the caller says what to wait for besides an event of the page."""
        return bool(self.wait_for or self.wait_expression or self.delay)

    def changed(self) -> dict[str, Any]:
        """Returns the options that differ from the defaults, as JSON values. They are part of the job's id."""
        return {} if self is DEFAULTS else self.model_dump(mode="json", exclude_defaults=True)


DEFAULTS = Options()


def defaults() -> Options:
    """Returns the shared default options. Pydantic would copy a plain default each time."""
    return DEFAULTS


JobOptions = Annotated[
    Options,
    BeforeValidator(lambda value: DEFAULTS if value == {} else value),
    PlainSerializer(Options.changed, return_type=dict[str, Any]),
]
"""The options in records and messages, which contain only those that differ from the defaults. Most jobs have none, and
checking all defaults takes several times as long as parsing the rest of a record."""


def parse_options(value: object) -> Options:
    """Parses options.

    Raises:
        Rejected: `invalid_request`, with the path of the first wrong field and the reason.
    """
    try:
        return Options.model_validate(value)
    except ValidationError as error:
        raise invalid(error, "options") from error


def invalid(error: ValidationError, prefix: str = "") -> Rejected:
    """Converts a pydantic error to `invalid_request` with the path of the first wrong field."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(filter(None, (prefix, *map(str, first["loc"]))))
    message = "is not known" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return Rejected("invalid_request", f"{field or 'The body'}: {message}.", field=field or None)
