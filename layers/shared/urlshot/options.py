"""The options of a render: one strict model for the API, the queue and the renderer."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from urlshot.errors import Rejected

_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "px": 25.4 / 96}
_LENGTH = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)(mm|cm|in|pt|px)")
_RANGE = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?")

MAX_MARGIN_MM = 100.0
MIN_SIDE_MM, MAX_SIDE_MM = 10.0, 5000.0
"""A PDF's page has at most 14,400 units, which are 5,080 mm (ISO 32000-1, annex C)."""
TEMPLATE_MM = 8.0
"""Margin that a header or footer needs, or it would be cut off."""
MAX_CSS_BYTES = 20_000
MAX_SELECTORS = 50
MAX_SELECTOR = 200
"""Characters of one selector."""


def millimetres(length: str) -> float:
    """A length of these options, in millimetres."""
    return float(length.removesuffix("mm"))


def _length(value: object, most: float = MAX_MARGIN_MM) -> str:
    """A length such as `10mm`, `0.5in`, `2cm`, `24px` or `36pt`, in millimetres, so that equal lengths are equal."""
    match = _LENGTH.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a length with a unit: mm, cm, in, pt or px, such as '10mm'")
    found = round(float(match[1]) * _MM[match[2]], 2)
    if found > most:
        raise ValueError(f"must be at most {most:g}mm")
    return f"{found:.2f}".rstrip("0").rstrip(".") + "mm"


def _side(value: object) -> str:
    """A side of the paper."""
    found = _length(value, MAX_SIDE_MM) if value != "" else ""
    if found and millimetres(found) < MIN_SIDE_MM:
        raise ValueError(f"must be at least {MIN_SIDE_MM:g}mm")
    return found


def _names(value: object) -> object:
    """A list of names in one order, each once."""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return tuple(sorted(set(value)))
    raise ValueError("must be a list of names")


def _page_ranges(value: object) -> str:
    """Pages such as `1-3,5`; the empty string is all of them."""
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("must be a string such as '1-3,5', of at most 200 characters")
    parts = []
    for part in filter(None, re.sub(r"\s", "", value).split(",")):
        match = _RANGE.fullmatch(part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ValueError(f"has {part!r}, which is neither a page nor an ascending range such as '2-4'")
        parts.append(part)
    return ",".join(parts)


def _whole(text: str) -> str:
    """The text, if it can be written as UTF-8: JSON can carry half a character (a lone surrogate)."""
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("has half a character (a lone surrogate) in it")
    return text


def _css(value: object) -> str:
    """A style sheet; white space around it means nothing."""
    if not isinstance(value, str) or len(_whole(value).encode()) > MAX_CSS_BYTES:
        raise ValueError(f"must be a string of at most {MAX_CSS_BYTES:,} bytes")
    return value.strip()


def _selectors(value: object) -> tuple[str, ...]:
    """CSS selectors, each once and in order. Whether one is well-formed only the browser knows."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of CSS selectors")
    selectors = {_whole(item).strip() for item in value}
    if len(selectors) > MAX_SELECTORS:
        raise ValueError(f"must have at most {MAX_SELECTORS} selectors")
    if not all(0 < len(selector) <= MAX_SELECTOR for selector in selectors):
        raise ValueError(f"must have selectors of 1 to {MAX_SELECTOR} characters")
    return tuple(sorted(selectors))


def _four(value: object) -> object:
    """A margin's sides; one length in place of the object stands for all four."""
    return dict.fromkeys(("top", "right", "bottom", "left"), value) if isinstance(value, str) else value


# What a validator checks in its own way, the contract of the endpoint says as far as JSON Schema can.
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
    """White space around the printed page."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    top: Length = "10mm"
    right: Length = "10mm"
    bottom: Length = "10mm"
    left: Length = "10mm"


class Metadata(BaseModel):
    """What stands in the PDF's properties; an empty text leaves out what it stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: str = Field(default="", max_length=500, description="Empty for the page's own title.")
    author: str = Field(default="", max_length=500)
    subject: str = Field(default="", max_length=500)
    keywords: str = Field(default="", max_length=500)


class Viewport(BaseModel):
    """The window that the page believes to be in, in CSS pixels; on paper the width is the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    width: int = Field(default=1280, ge=100, le=4000)
    height: int = Field(default=720, ge=100, le=4000)


class Options(BaseModel):
    """How a page is printed. Unknown names are refused, and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["A0", "A1", "A2", "A3", "A4", "A5", "A6", "Letter", "Legal", "Tabloid", "Ledger"] = Field(
        default="A4", description="Paper format."
    )
    width: Side = Field(
        default="",
        description="Width of the paper, such as 148mm, from 10mm to 5000mm; with height, in place of format.",
    )
    height: Side = Field(default="", description="Height of the paper, with width.")
    landscape: bool = Field(default=False, description="Paper on its side.")
    margin: Annotated[Margin, BeforeValidator(_four, json_schema_input_type=Margin | Length)] = Field(
        default=Margin(), description="White space around the printed page; one length sets all four sides."
    )
    background: bool = Field(default=True, description="Print background colours and images.")
    scale: float = Field(default=1.0, ge=0.1, le=2.0, description="Scale of the page's content.")
    fit: Literal["none", "width"] = Field(
        default="none",
        description="width: scale the page down until its widest content fits the paper; by default content that is "
        "more than one and a half times as wide as the paper is cut off, and a warning says so.",
    )
    page_ranges: Annotated[str, BeforeValidator(_page_ranges)] = Field(
        default="",
        description="Pages to print, such as 1-3,5; empty for all.",
        json_schema_extra=_RANGES_SCHEMA,
    )
    css_page_size: bool = Field(
        default=False, description="Let the page's own @page size, where it has one, go before format."
    )
    single_page: bool = Field(
        default=False,
        description="One long page, as high as the content, up to 5000mm; its width is format's, or width alone.",
    )
    tagged: bool = Field(
        default=False,
        description="Structure for screen readers. Off by default for what it costs (measured): a table of 2,400 cells "
        "grows from 22 to 769 kB and prints in 230 ms in place of 70, an article from 39 to 91 kB.",
    )
    outline: bool = Field(default=False, description="Bookmarks from the page's headings; needs tagged.")
    header_template: str = Field(
        default="",
        max_length=10_000,
        description="HTML in the top margin, of 8mm at least; elements of the classes date, title, url, pageNumber and "
        "totalPages are filled in. No scripts, and images as data: URLs only.",
    )
    footer_template: str = Field(default="", max_length=10_000, description="The same in the bottom margin.")
    page_numbers: bool = Field(default=False, description="A plain footer such as 3 / 12.")
    metadata: Metadata = Field(default=Metadata(), description="The PDF's properties.")
    media: Literal["print", "screen"] = Field(default="print", description="CSS media type.")
    color_scheme: Literal["light", "dark", "no-preference"] = Field(
        default="light", description="What prefers-color-scheme says."
    )
    viewport: Viewport = Field(default=Viewport(), description="Window size in CSS pixels, from 100 to 4000.")
    device_scale: float = Field(default=1.0, ge=0.5, le=4.0, description="Device pixels per CSS pixel.")
    locale: str = Field(
        default="en-US",
        max_length=35,
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
        description="Language tag: Accept-Language, navigator.language and how numbers and dates are written.",
    )
    timezone: str = Field(
        default="UTC", max_length=40, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", description="Such as Europe/Berlin."
    )
    user_agent: str = Field(
        default="", max_length=500, pattern=r"^[\x20-\x7e]*$", description="Empty for the browser's own."
    )
    javascript: bool = Field(default=True, description="Run the page's scripts.")
    wait_until: Literal["settled", "load", "domcontentloaded", "networkidle"] = Field(
        default="settled",
        description=(
            "When the page is printed: when it has come to rest (loaded, fonts and images there, scrolled through, "
            "animations ended, network quiet), or after one of its events."
        ),
    )
    wait_for: str = Field(
        default="", max_length=500, description="CSS selector of an element to wait for, until it is visible."
    )
    wait_expression: str = Field(
        default="", max_length=2000, description="JavaScript expression to wait for, until it is true."
    )
    delay: float = Field(default=0.0, ge=0, le=20, description="Seconds to wait after all else.")
    fail_on: Annotated[tuple[Literal["console", "resources", "status"], ...], BeforeValidator(_names)] = Field(
        default=("status",),
        description="What makes the job fail rather than end with a warning: the page's status from 400 on, resources "
        "that could not be loaded, errors of its scripts.",
    )

    css: Annotated[str, BeforeValidator(_css)] = Field(
        default="",
        description="CSS to add to the page, after its own, at most 20 kB; @import has no effect in it.",
        json_schema_extra=_CSS_SCHEMA,
    )
    hide: Annotated[tuple[str, ...], BeforeValidator(_selectors)] = Field(
        default=(),
        description="CSS selectors of what is left out of the print; at most 50, of 200 characters.",
        json_schema_extra=_SELECTORS_SCHEMA,
    )
    block: Annotated[tuple[Literal["ads", "fonts", "images", "media", "trackers"], ...], BeforeValidator(_names)] = (
        Field(default=(), description="What the page may not load; ads and trackers are those of known third parties.")
    )
    consent: Literal["keep", "reject"] = Field(
        default="keep", description="Cookie banners: left as they are, or answered with no, which takes up to 3 s."
    )

    @model_validator(mode="before")
    @classmethod
    def _paper_on_its_side(cls, value: object) -> object:
        """Own paper on its side is paper with its sides exchanged: one way to say it makes one id."""
        if isinstance(value, dict) and value.get("landscape") is True and value.get("width") and value.get("height"):
            return {**value, "landscape": False, "width": value["height"], "height": value["width"]}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.width or self.height) and self.format != "A4":
            raise ValueError("width and height exclude format")
        if self.single_page:
            for name in ("height", "page_ranges", "css_page_size"):
                if getattr(self, name):
                    raise ValueError(f"single_page excludes {name}")
            if self.width and self.landscape:
                raise ValueError("single_page with a width has no landscape")
        elif bool(self.width) != bool(self.height):
            raise ValueError("width and height go together")
        if self.page_numbers and self.footer_template:
            raise ValueError("page_numbers and footer_template exclude each other")
        if self.outline and not self.tagged:
            raise ValueError("outline needs tagged")
        if self.header_template and millimetres(self.margin.top) < TEMPLATE_MM:
            raise ValueError(f"header_template needs margin.top of {TEMPLATE_MM:g}mm at least")
        if (self.footer_template or self.page_numbers) and millimetres(self.margin.bottom) < TEMPLATE_MM:
            raise ValueError(f"a footer needs margin.bottom of {TEMPLATE_MM:g}mm at least")
        return self

    @property
    def has_templates(self) -> bool:
        """Whether something of ours is printed beside the page."""
        return bool(self.header_template or self.footer_template or self.page_numbers)

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON values: with the URL it makes the job's id."""
        return self.model_dump(mode="json", exclude_defaults=True)


def parse_options(value: object) -> Options:
    """Reads options.

    Raises:
        Rejected: `invalid_request`, with the first wrong field's path and what it should be.
    """
    try:
        return Options.model_validate(value)
    except ValidationError as error:
        raise invalid(error, "options") from error


def invalid(error: ValidationError, prefix: str = "") -> Rejected:
    """A pydantic error as `invalid_request`, which names the first wrong field by its path."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(filter(None, (prefix, *map(str, first["loc"]))))
    message = "is not known" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return Rejected("invalid_request", f"{field or 'The body'}: {message}.", field=field or None)
