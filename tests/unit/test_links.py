"""A token in a link opens one file."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urlshot.core import cached
from urlshot.core.cached import Cached
from urlshot.core.errors import Transient
from urlshot.core.links import DOUBT_SECONDS, FileLinks

ID, OTHER = "0caaf24ab1a0c33440c06afe99df986365b0781f", "d3c1f0e2b4a5968778695a4b3c2d1e0f"
LINKS = FileLinks(lambda: b"key")


def token_of(path: str) -> str:
    return path.partition("?token=")[2]


def test_token_is_the_first_half_of_an_hmac_in_url_safe_base64() -> None:
    mac = hmac.new(b"key", f"urlshot file v1\n{ID}".encode(), hashlib.sha256).digest()
    token = urlsafe_b64encode(mac[:16]).decode().rstrip("=")
    assert LINKS.path(ID) == f"/pdf/{ID}/file?token={token}"
    assert len(token) == 22
    assert LINKS.opens(ID, token)


def test_token_opens_its_own_file_and_no_other() -> None:
    token = token_of(LINKS.path(ID))
    assert not LINKS.opens(OTHER, token)
    assert not FileLinks(lambda: b"another key").opens(ID, token)


@pytest.mark.parametrize("token", [None, "", "x", "ÿ", "\ud800", token_of(LINKS.path(ID)) + "==", "A" * 5000])
def test_malformed_token_opens_nothing(token: str | None) -> None:
    assert not LINKS.opens(ID, token)


@given(st.text(max_size=30))
def test_no_other_text_opens_the_file(token: str) -> None:
    assert LINKS.opens(ID, token) == (token == token_of(LINKS.path(ID)))


def test_endpoint_without_keys_has_no_tokens_and_is_open() -> None:
    open_links = FileLinks(None)
    assert open_links.path(ID) == f"/pdf/{ID}/file"
    assert open_links.opens(ID, None) and open_links.opens(ID, "whatever")


class Secret:
    """A secret that can be rotated and can be unavailable, with the clock of its reader."""

    def __init__(self) -> None:
        self.value = b"first"
        self.away = False
        self.asked = 0
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def __call__(self) -> bytes:
        self.asked += 1
        if self.away:
            raise Transient("storage_unavailable")
        return self.value


@pytest.fixture
def secret() -> Secret:
    return Secret()


def test_key_is_read_when_it_is_needed_and_cached(secret: Secret) -> None:
    links = FileLinks(secret, secret.clock)
    assert secret.asked == 0
    token = token_of(links.path(ID))
    for _ in range(5):
        assert links.opens(ID, token)
    assert secret.asked == 1


def test_unknown_token_makes_a_rotated_key_be_read(secret: Secret) -> None:
    links = FileLinks(secret, secret.clock)
    links.path(ID)
    secret.value = b"second"
    token = token_of(FileLinks(lambda: b"second").path(ID))
    assert not links.opens(ID, token)  # the key was read a moment ago
    secret.now += DOUBT_SECONDS
    assert links.opens(ID, token)
    for _ in range(100):
        assert not links.opens(ID, "wrong")
    assert secret.asked == 2


def test_rotated_key_is_used_for_new_links_after_a_time(secret: Secret) -> None:
    links = FileLinks(secret, secret.clock)
    before = links.path(ID)
    secret.value = b"second"
    secret.now += cached.CACHE_SECONDS - 1
    assert links.path(ID) == before
    secret.now += 1
    assert links.path(ID) == FileLinks(lambda: b"second").path(ID)


def test_cached_key_is_used_while_the_secret_is_unavailable(secret: Secret) -> None:
    value = Cached(secret, secret.clock)
    secret.away = True
    with pytest.raises(Transient):
        value.get()
    secret.away = False
    assert value.get() == b"first"
    secret.away = True
    secret.now += cached.CACHE_SECONDS
    assert value.get() == b"first"
