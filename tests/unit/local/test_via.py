"""Tests the ports of a proxy between functions and a server of the local stack."""

import pytest

from infra.local.settings import Via


@pytest.mark.parametrize(
    ("text", "server", "seen"),
    [
        (None, 0, "http://127.0.0.1:5000"),
        ("20001:20002", 20001, "http://127.0.0.1:20002"),
        ("20001:0", 20001, "http://127.0.0.1:5000"),
    ],
)
def test_functions_use_the_proxy_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, text: str | None, server: int, seen: str
) -> None:
    if text is not None:
        monkeypatch.setenv("URLSHOT_AWS_VIA", text)
    via = Via.from_environment("URLSHOT_AWS_VIA")
    assert (via.server, via.for_functions("http://127.0.0.1:5000")) == (server, seen)
