"""A URL is parsed as a browser parses it, and the id of a job follows from it."""

import hashlib

import ada_url
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bypasses import BYPASSES
from urlshot.core.egress import Egress
from urlshot.core.errors import Rejected
from urlshot.core.identity import MAX_URL, file_name, is_job_id, job_id, target

CLOSED = Egress()


@pytest.mark.parametrize(
    ("url", "canonical", "host", "port"),
    [
        ("http://example.com", "http://example.com/", "example.com", 80),
        ("HTTPS://Example.COM:443/a/../b", "https://example.com/b", "example.com", 443),
        ("https://example.com:8443/?q=a b#part", "https://example.com:8443/?q=a%20b#part", "example.com", 8443),
        ("  https://example.com/\n", "https://example.com/", "example.com", 443),
        ("https:example.com", "https://example.com/", "example.com", 443),
        ("https://münchen.de/ü", "https://xn--mnchen-3ya.de/%C3%BC", "xn--mnchen-3ya.de", 443),
        ("https://example.com\\path", "https://example.com/path", "example.com", 443),
        ("http://8.8.8.8/", "http://8.8.8.8/", "8.8.8.8", 80),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/", "2606:4700::1111", 80),
    ],
)
def test_url_is_parsed_as_a_browser_parses_it(url: str, canonical: str, host: str, port: int) -> None:
    found = target(url, CLOSED)
    assert (found.url, found.host, found.port) == (canonical, host, port)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "invalid_url"),
        ("example.com", "invalid_url"),
        ("/path", "invalid_url"),
        ("http://", "invalid_url"),
        ("http://exa mple/", "invalid_url"),
        ("http://h:99999/", "invalid_url"),
        ("http://[::1", "invalid_url"),
        ("\ud800", "invalid_url"),
        ("ftp://example.com/", "unsupported_scheme"),
        ("https://user@example.com/", "url_has_credentials"),
        ("https://user:pass@example.com/", "url_has_credentials"),
        ("https://:pass@example.com/", "url_has_credentials"),
        ("https://example.com/" + "a" * MAX_URL, "url_too_long"),
        ("https://example.com/" + "ü" * 1000, "url_too_long"),
    ],
)
def test_forbidden_url_is_refused_with_its_code(url: str, code: str) -> None:
    with pytest.raises(Rejected) as caught:
        target(url, CLOSED)
    assert caught.value.code.name == code
    assert caught.value.field == "url"


@pytest.mark.parametrize("name", BYPASSES)
def test_published_bypass_is_refused(name: str) -> None:
    url, code = BYPASSES[name]
    with pytest.raises(Rejected) as caught:
        target(url, CLOSED)
    assert (caught.value.code.name, caught.value.field) == (code, "url")


def test_opened_pair_opens_no_other_host_or_port() -> None:
    egress = Egress.of("127.0.0.1:8000")
    assert target("http://127.0.0.1:8000/x", egress).port == 8000
    for neighbour in ("http://127.0.0.1:8001/", "http://127.0.0.2:8000/", "http://localhost:8000/"):
        with pytest.raises(Rejected):
            target(neighbour, egress)


def test_longest_url_is_accepted_and_one_more_character_is_not() -> None:
    url = "https://example.com/"
    assert target(url + "a" * (MAX_URL - len(url)), CLOSED)
    with pytest.raises(Rejected):
        target(url + "a" * (MAX_URL - len(url) + 1), CLOSED)


@given(st.text(max_size=80) | st.text(max_size=60).map(lambda text: "http://" + text))
def test_any_text_is_a_canonical_url_or_is_refused(text: str) -> None:
    try:
        found = target(text, CLOSED)
    except Rejected as error:
        assert error.detail
        return
    # The canonical form is a fixed point: a request for the canonical URL is the same request.
    assert target(found.url, CLOSED) == found
    assert found.url.isascii()
    assert ada_url.URL(found.url).href == found.url


def test_id_of_a_request_without_options_is_the_sha1_of_its_url() -> None:
    url = "https://example.com/"
    assert job_id(url, {}) == hashlib.sha1(url.encode()).hexdigest()  # noqa: S324


def test_options_change_the_id_and_their_order_does_not() -> None:
    url = "https://example.com/"
    first = job_id(url, {"landscape": True, "format": "A5"})
    assert first == job_id(url, {"format": "A5", "landscape": True})
    assert first == hashlib.sha1((url + '\n{"format":"A5","landscape":true}').encode()).hexdigest()  # noqa: S324
    assert first != job_id(url, {})


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a" * 40, True),
        ("0" * 32, True),
        ("a" * 39, False),
        ("A" * 40, False),
        ("g" * 40, False),
        ("a" * 40 + "\n", False),
    ],
)
def test_id_has_32_or_40_hexadecimal_digits(text: str, is_one: bool) -> None:
    assert is_job_id(text) is is_one


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/", "example.com.pdf"),
        ("https://example.com/a/b.html?token=secret#x", "example.com-a-b.html.pdf"),
        ("https://example.com/%22%0d%0aX-Evil:1", "example.com-22-0d-0aX-Evil-1.pdf"),
        ("https://example.com/" + "a" * 300, ("example.com-" + "a" * 300)[:100] + ".pdf"),
    ],
)
def test_file_name_comes_from_host_and_path(url: str, name: str) -> None:
    assert file_name(url) == name


@given(st.text(max_size=200))
def test_file_name_is_safe_in_a_header(path: str) -> None:
    url = ada_url.URL("https://example.com/")
    url.pathname = path
    name = file_name(url.href)
    assert name.isascii()
    assert not set(name) & set('"\\/\r\n;%')
    assert len(name) <= 104


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.com", "HTTPS://EXAMPLE.com:443/"),
        ("https://example.com/", "https://@example.com/"),
        ("https://example.com/", "https://:@example.com:0443"),
        ("https://example.com/", "https:/\\example.com"),
        ("https://example.com/", "https://%65xample.com/"),
        ("https://example.com/", "https://ex\uff41mple\u3002com/"),
        ("https://example.com/", "\x00\x1f https://example.com/ \x1f"),
        ("https://example.com/a", "https://example.com/b/../a"),
        ("https://example.com/a", "https://example.com/%2e/b/%2E%2E/a"),
        ("https://example.com/a", r"https:\\example.com\a"),
        ("https://example.com/a", "https:example.com/a"),
        ("https://example.com/a", "https://example.com/\n\ta"),
        ("https://example.com/a b", "https://example.com/a%20b"),
        ("https://example.com/", "https://\u24d4xample.com/"),
        ("https://example.com/", "https://exam\u00adple.com/"),
        ("https://xn--mnchen-3ya.de/", "https://MÜNCHEN.de/"),
        ("https://faß.de/", "https://xn--fa-hia.de/"),
        ("http://8.8.8.8/", "http://0x08.010.2056/"),
        ("http://[2606:4700::1111]/", "http://[2606:4700:0:0:0:0:0:1111]:80/"),
    ],
)
def test_spellings_that_a_browser_reads_alike_are_one_job(one: str, other: str) -> None:
    assert job_id(target(one, CLOSED).url, {}) == job_id(target(other, CLOSED).url, {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.com/", "http://example.com/"),
        ("https://example.com/", "https://example.com:8443/"),
        ("https://example.com/", "https://example.com./"),
        ("https://example.com/a", "https://example.com/A"),
        ("https://example.com/a", "https://example.com/a/"),
        ("https://example.com/a", "https://example.com//a"),
        ("https://example.com/a", "https://example.com/a;b"),
        ("https://example.com/a", "https://example.com/a/."),
        ("https://example.com/a.css", "https://example.com/a/.css"),
        ("https://example.com/a", "https://example.com/a%09"),
        ("https://example.com/?a", "https://example.com/?a="),
        ("https://example.com/?a=1", "https://example.com/?a=1&a=2"),
        ("https://example.com/?a=1", "https://example.com/?A=1"),
        ("https://example.com/#a", "https://example.com/#b"),
        ("https://example.com/a/b", "https://example.com/a%2Fb"),
        ("https://example.com/%2f", "https://example.com/%2F"),
        ("https://example.com/a", "https://example.com/a%00"),
        ("https://example.com/a", "https://example.com/a?"),
        ("https://example.com/a", "https://example.com/a#b"),
        ("https://example.com/?a=1&b=2", "https://example.com/?b=2&a=1"),
        ("https://example.com/?a=+", "https://example.com/?a=%20"),
        ("https://faß.de/", "https://fass.de/"),
        ("https://example.com/", "https://ехample.com/"),  # its first two letters are Cyrillic
        ("https://example.com/\u00e9", "https://example.com/e\u0301"),
    ],
)
def test_spellings_that_a_server_may_read_differently_are_two_jobs(one: str, other: str) -> None:
    assert job_id(target(one, CLOSED).url, {}) != job_id(target(other, CLOSED).url, {})


@pytest.mark.parametrize(
    "tail", ['\n{"format":"A5"}', '%0A{"format":"A5"}', '#\n{"format":"A5"}', "\r\n", "\u2028{}", "\x00\n{}"]
)
def test_no_url_is_taken_for_another_with_options(tail: str) -> None:
    """The hash joins URL and options by a line break, which no canonical URL contains."""
    found = target("https://example.com/" + tail, CLOSED)
    assert "\n" not in found.url
    assert job_id(found.url, {}) != job_id("https://example.com/", {"format": "A5"})
