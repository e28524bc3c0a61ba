"""The options of a render: one strict model for the API, the queue and the renderer."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from urlshot.errors import Rejected

_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "px": 25.4 / 96}
_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,4})?)(mm|cm|in|pt|px)")
_RANGE = re.compile(r"([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?")

MAX_MARGIN_MM = 100.0
MAX_CSS_BYTES = 20_000
MAX_SELECTORS = 50
MAX_SELECTOR = 200
"""Characters of one selector."""


def _length(value: object) -> str:
    """A length such as `10mm`, `0.5in`, `2cm`, `24px` or `36pt`, in millimetres, so that equal lengths are equal."""
    match = _LENGTH.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a length with a unit: mm, cm, in, pt or px, such as '10mm'")
    millimetres = round(float(match[1]) * _MM[match[2]], 2)
    if millimetres > MAX_MARGIN_MM:
        raise ValueError(f"must be at most {MAX_MARGIN_MM:g}mm")
    return f"{millimetres:g}mm"


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


def _each_once(value: object) -> object:
    """A list of names as a tuple, each once and in order."""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(sorted(set(value)))
    raise ValueError("must be a list of names")


Length = Annotated[str, BeforeValidator(_length)]


class Margin(BaseModel):
    """White space around the printed page; one length in place of the object sets all four."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    top: Length = "10mm"
    right: Length = "10mm"
    bottom: Length = "10mm"
    left: Length = "10mm"

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, value: object) -> object:
        return dict.fromkeys(("top", "right", "bottom", "left"), value) if isinstance(value, str) else value


class Options(BaseModel):
    """How a page is printed. Unknown names are refused, and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["A0", "A1", "A2", "A3", "A4", "A5", "A6", "Letter", "Legal", "Tabloid", "Ledger"] = Field(
        default="A4", description="Paper format."
    )
    landscape: bool = Field(default=False, description="Paper on its side.")
    margin: Margin = Field(default=Margin(), description="White space around the printed page.")
    background: bool = Field(default=True, description="Print background colours and images.")
    scale: float = Field(default=1.0, ge=0.1, le=2.0, description="Scale of the page's content.")
    page_ranges: Annotated[str, BeforeValidator(_page_ranges)] = Field(
        default="", description="Pages to print, such as 1-3,5; empty for all."
    )
    wait_until: Literal["settled", "load", "domcontentloaded", "networkidle"] = Field(
        default="settled",
        description=(
            "When the page is printed: when it has come to rest (loaded, fonts and images there, scrolled through, "
            "animations ended, network quiet), or after one of its events."
        ),
    )
    javascript: bool = Field(default=True, description="Run the page's scripts.")

    css: Annotated[str, BeforeValidator(_css)] = Field(
        default="", description="CSS to add to the page, after its own, at most 20 kB; @import has no effect in it."
    )
    hide: Annotated[tuple[str, ...], BeforeValidator(_selectors)] = Field(
        default=(), description="CSS selectors of what is left out of the print; at most 50, of 200 characters."
    )
    block: Annotated[
        tuple[Literal["ads", "fonts", "images", "media", "trackers"], ...], BeforeValidator(_each_once)
    ] = Field(default=(), description="What the page may not load; ads and trackers are those of known third parties.")
    consent: Literal["keep", "reject"] = Field(
        default="keep", description="Cookie banners: left as they are, or answered with no, which takes up to 3 s."
    )

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
