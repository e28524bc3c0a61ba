"""Defines the secrets of a private job: the caller's headers, cookies and password.

Only the message and the render job contain them. They are not in `Options`, which the record contains, and neither
`repr` nor an error shows their values.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_serializer,
    model_validator,
)

MAX_HEADERS = 20
MAX_COOKIES = 50
MAX_VALUE = 4096
"""Most characters of one value, a common limit of browsers and servers."""
MAX_ALL = 32_000
"""Most characters of all headers and cookies together. Servers commonly accept 8 to 16 kB, and the job has to fit into
Lambda's record of its render."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]*")
_COOKIE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")  # RFC 6265, section 4.1.1
_PATH = r"^/[\x20-\x3a\x3c-\x7e]{0,500}$"

# Headers that belong to the message's framing or its connection (Fetch Standard, forbidden request-headers), and below
# those that have their own option.
_REFUSED = {
    "accept-charset", "accept-encoding", "connection", "content-length", "date", "dnt", "expect", "host", "keep-alive",
    "origin", "te", "trailer", "transfer-encoding", "upgrade", "via",
}  # fmt: skip
_OPTIONS = {"cookie": "cookies", "user-agent": "the option user_agent"}


def _header_name(value: str) -> str:
    name = value.lower()
    if not _TOKEN.fullmatch(name):
        raise ValueError("has a name that is not a valid header name")
    if name in _OPTIONS:
        raise ValueError(f"must not name {name}; use {_OPTIONS[name]}")
    if name in _REFUSED or name.startswith(("proxy-", "sec-")):
        raise ValueError(f"must not name {name}, which the browser sets itself")
    return name


def _secret(pattern: re.Pattern[str], most: int) -> BeforeValidator:
    """Makes a validator for a secret of a pattern; its error never contains the secret."""

    def check(value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str) or len(text) > most or not pattern.fullmatch(text):
            raise ValueError(f"must be a text of at most {most} characters, without characters that are invalid there")
        return text

    schema: dict[str, Any] = {"pattern": f"^{pattern.pattern}$", "format": "password", "writeOnly": True}
    return BeforeValidator(
        check, json_schema_input_type=Annotated[str, Field(max_length=most, json_schema_extra=schema)]
    )


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Cookie(_Strict):
    """A cookie for the URL's host. If the URL is https, the cookie is sent over https only."""

    name: str = Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
    value: Annotated[SecretStr, _secret(_COOKIE_VALUE, MAX_VALUE)]
    path: str = Field(default="/", pattern=_PATH)

    @field_serializer("value")
    def _plain(self, value: SecretStr) -> str:
        return value.get_secret_value()


class BasicAuth(_Strict):
    """User name and password, sent only to the URL's origin, when it asks for them."""

    username: str = Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f:]*$", repr=False)
    password: Annotated[SecretStr, _secret(re.compile(r"[^\x00-\x1f\x7f]*"), 500)]

    @field_serializer("password")
    def _plain(self, value: SecretStr) -> str:
        return value.get_secret_value()


class Private(_Strict):
    """The caller's secrets, for pages behind a login.

    An empty object is falsy. `model_dump(mode="json", exclude_defaults=True)` returns the plain values.
    """

    headers: dict[
        Annotated[str, AfterValidator(_header_name)], Annotated[SecretStr, _secret(_HEADER_VALUE, MAX_VALUE)]
    ] = Field(
        default={},
        max_length=MAX_HEADERS,
        json_schema_extra={"propertyNames": {"pattern": f"^{_TOKEN.pattern}$"}},
        description="Extra request headers, sent only to the URL's origin (scheme, host and port).",
    )
    cookies: tuple[Cookie, ...] = Field(default=(), max_length=MAX_COOKIES, description="Cookies for the URL's host.")
    basic_auth: BasicAuth | None = Field(
        default=None, description="User name and password, sent only to the URL's origin, when it asks for them."
    )

    @field_serializer("headers")
    def _plain(self, headers: dict[str, SecretStr]) -> dict[str, str]:
        return {name: value.get_secret_value() for name, value in headers.items()}

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        headers = sum(len(name) + len(value.get_secret_value()) for name, value in self.headers.items())
        cookies = sum(len(one.name) + len(one.value.get_secret_value()) + len(one.path) for one in self.cookies)
        if headers + cookies > MAX_ALL:
            raise ValueError(f"must have at most {MAX_ALL} characters in all headers and cookies together")
        return self

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.basic_auth is not None and "authorization" in self.headers:
            raise ValueError("basic_auth cannot be combined with a header authorization")
        return self

    def __bool__(self) -> bool:
        return bool(self.headers or self.cookies or self.basic_auth)


_NO_SECRETS = Private()


def no_secrets() -> Private:
    """Returns the shared object for a job without secrets. Pydantic would copy a plain default each time."""
    return _NO_SECRETS
