"""Only permitted subscribers are accepted, and no trick adds another recipient."""

from __future__ import annotations

from email.utils import getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.bypasses import BYPASSES
from urlshot.core.egress import Egress
from urlshot.core.errors import Broken, Rejected
from urlshot.core.settings import Settings
from urlshot.core.subscription_rules import (
    CallbackHosts,
    NotifyAllow,
    callback_allowed,
    callback_subscriber,
    canonical_address,
    mail_subscriber,
    notify_allowed,
    parse_allow,
    parse_hosts,
)

ALLOW = parse_allow("boss@corp.example, @Example.com")
HOSTS = parse_hosts("hooks.example.com, other.example:8443,[2606:2800:220:1::1]")


@pytest.mark.parametrize(
    "address",
    ["boss@corp.example", "boss@CORP.Example", "any.one+tag@example.com", "o'neil@EXAMPLE.COM", "x@example.com"],
)
def test_listed_address_or_domain_is_allowed(address: str) -> None:
    assert notify_allowed(address, ALLOW)
    local, _, domain = address.partition("@")
    assert mail_subscriber(address, ALLOW).address == f"{local}@{domain.lower()}"


@pytest.mark.parametrize(
    "address",
    [
        "other@corp.example", "Boss@corp.example", "boss@corp.example.org", "boss@sub.corp.example",
        "x@sub.example.com", "x@notexample.com", "x@example.com.", "x@example.co",
    ],
)  # fmt: skip
def test_other_address_is_not_allowed(address: str) -> None:
    assert not notify_allowed(address, ALLOW)


TRICKS = [
    "", "@", "x", "@example.com", "x@", "x@@example.com", "evil@evil.example@example.com", "x@example.com@evil.example",
    "x@example.com,evil@evil.example", "evil@evil.example,x@example.com", "x@example.com;evil@evil.example",
    "x@example.com evil@evil.example", "<evil@evil.example>x@example.com", "x@example.com <evil@evil.example>",
    "evil@evil.example <x@example.com>", '"evil@evil.example,"@example.com', '"x"@example.com', "x(c)@example.com",
    "evil%evil.example@example.com", "evil.example!evil@example.com", "@evil.example:x@example.com",
    "x@example.com\n", "x@example.com\r\nBcc: evil@evil.example", "\nx@example.com", "x\x00@example.com",
    " x@example.com", "x@example.com ", "x@exam\u00adple.com", "x@еxample.com", "x@example。com", "x＠example.com",
    "х@example.com", "x@EXAMPLE.\u212aOM", "x@[127.0.0.1]", ".x@example.com", "x.@example.com", "x..y@example.com",
    "x@-example.com", "x@example-.com", "x@.example.com", "x@example..com", "a" * 65 + "@example.com",
    "x@" + "a" * 64 + ".com", "x@" + ".".join(["a" * 60] * 5), "x\\@example.com", "x@example.com\\", "x@xn--\u00e9.com",
]  # fmt: skip


@pytest.mark.parametrize("address", TRICKS)
def test_text_that_is_not_one_plain_address_is_refused(address: str) -> None:
    assert not notify_allowed(address, ALLOW)
    with pytest.raises(Rejected) as caught:
        mail_subscriber(address, ALLOW)
    assert (caught.value.code.name, caught.value.field) == ("invalid_request", "notify")


parts = st.lists(
    st.sampled_from(
        [*"@,;:<>()\"'\\ .!%\r\n\t\0", "example.com", "boss@corp.example", "evil@evil.example", "x", "é", "＠"]
    ),
    max_size=8,
).map("".join)


@given(parts | st.text(max_size=40) | parts.map(lambda text: text + "@example.com"))
@example("evil@evil.example@example.com")
def test_allowed_address_is_one_listed_address_to_another_parser_too(address: str) -> None:
    """The other parser is the standard library's, which knows lists, quotes, comments and routes."""
    if not notify_allowed(address, ALLOW):
        return
    assert address.isascii() and address.isprintable() and " " not in address
    assert getaddresses([address]) == [("", address)]
    assert address.count("@") == 1
    local, domain = address.split("@")
    assert domain.lower() == "example.com" or (local, domain.lower()) == ("boss", "corp.example")


@given(st.from_regex(r"\A[a-zA-Z0-9_+]{1,20}(\.[a-z0-9-]{1,10}){0,2}\Z", alphabet=st.characters(codec="ascii")))
def test_every_plain_name_at_a_listed_domain_is_allowed(local: str) -> None:
    assert notify_allowed(f"{local}@example.com", ALLOW)


def test_no_address_is_allowed_without_a_list() -> None:
    assert not notify_allowed("x@example.com", parse_allow(""))
    with pytest.raises(Rejected, match="notify_not_allowed"):
        mail_subscriber("x@example.com", frozenset())


@pytest.mark.parametrize("text", ["x", "@", "@example.com@", "x@example.com;y@example.com", "@*", "@.example.com"])
def test_list_with_an_invalid_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_allow(text)


# ---- callbacks ------------------------------------------------------------------------------------------------------

CLOSED = Egress()


def callback(url: str, *, has_key: bool = True) -> str:
    return callback_subscriber(url, CLOSED, has_key=has_key, hosts=HOSTS).address


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://anna.example/hook?a=1", "https://anna.example/hook?a=1"),
        ("HTTPS://Anna.Example:443", "https://anna.example/"),
        ("https://anna.example/hook#part", "https://anna.example/hook"),
    ],
)
def test_any_https_callback_is_allowed_with_a_key(url: str, canonical: str) -> None:
    assert callback(url) == canonical


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://anna.example/", "callback_not_allowed"),
        ("ftp://anna.example/", "unsupported_scheme"),
        ("https://user:secret@anna.example/", "url_has_credentials"),
        ("/hook", "invalid_url"),
        ("https://anna.example/" + "a" * 2048, "url_too_long"),
    ],
)
@pytest.mark.parametrize("has_key", [True, False])
def test_other_callback_is_refused_with_its_reason(url: str, code: str, has_key: bool) -> None:
    with pytest.raises(Rejected) as caught:
        callback(url, has_key=has_key)
    assert (caught.value.code.name, caught.value.field) == (code, "callback_url")


@pytest.mark.parametrize("scheme", ["http:", "https:"])
@pytest.mark.parametrize("name", BYPASSES)
def test_published_bypass_is_refused_as_a_callback(name: str, scheme: str) -> None:
    url, code = BYPASSES[name]
    with pytest.raises(Rejected) as caught:
        callback(url.replace("http:", scheme, 1))
    assert (caught.value.code.name, caught.value.field) == (code, "callback_url")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.com/a", True),
        ("https://HOOKS.example.com:443/a", True),
        ("https://other.example:8443/", True),
        ("https://[2606:2800:220:1:0::1]/", True),
        ("https://hooks.example.com:8443/", False),
        ("https://other.example/", False),
        ("https://sub.hooks.example.com/", False),
        ("https://hooks.example.com.evil.example/", False),
        ("https://hooks.example.com./", False),
        ("https://evil.example/?hooks.example.com", False),
    ],
)
def test_only_listed_hosts_are_allowed_without_a_key(url: str, allowed: bool) -> None:
    if allowed:
        assert callback(url, has_key=False)
    else:
        with pytest.raises(Rejected, match="callback_not_allowed"):
            callback(url, has_key=False)


@given(st.text(max_size=30))
def test_no_callback_is_allowed_without_a_key_and_without_a_list(text: str) -> None:
    try:
        callback_subscriber(f"https://{text}", CLOSED, has_key=False, hosts=frozenset())
    except Rejected:
        return
    pytest.fail("the callback is accepted")


def test_http_callback_is_not_allowed_even_with_a_key() -> None:
    assert not callback_allowed("http://hooks.example.com:443/", has_key=True, hosts=HOSTS)


@pytest.mark.parametrize(
    "text", ["a b", "https://a.example", "a.example/x", "user@a.example", "a.example:x", "[::1", "*.a.example"]
)
def test_list_with_an_invalid_host_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_hosts(text)


class Some(Settings):
    callback_hosts: CallbackHosts = frozenset()
    notify_allow: NotifyAllow = frozenset()


def test_settings_read_both_lists_and_name_the_wrong_one() -> None:
    some = Some.read({"CALLBACK_HOSTS": "a.example", "NOTIFY_ALLOW": "@b.example"})
    assert (some.callback_hosts, some.notify_allow) == ({"a.example:443"}, {"@b.example"})
    assert Some.read({"CALLBACK_HOSTS": "", "NOTIFY_ALLOW": ""}) == Some()
    with pytest.raises(Broken, match="NOTIFY_ALLOW"):
        Some.read({"NOTIFY_ALLOW": "everyone"})


def test_canonical_address_is_a_fixed_point() -> None:
    assert canonical_address("A.b@EXAMPLE.com") == "A.b@example.com" == canonical_address("A.b@example.com")
