"""Tests that no page can reach a forbidden address."""

from __future__ import annotations

import socket
import time

import pytest

from .conftest import Bench, Site, text_of


def test_private_page_is_a_blocked_target(render: Bench, neighbour: Site) -> None:
    assert render.error(neighbour.url()) == "blocked_target"
    assert render.error(neighbour.url(host="localhost")) == "blocked_target"
    assert neighbour.hits == []


REDIRECTS: dict[str, tuple[str, int, dict[str, str]]] = {
    **{f"status {status}": ("", status, {"Location": "TO"}) for status in (301, 302, 303, 307, 308)},
    "Refresh header": ("x", 200, {"Refresh": "0;url=TO"}),
    "meta refresh": ("<meta http-equiv=refresh content='0;url=TO'>", 200, {}),
    "script": ("<script>location = String.raw`TO`</script>", 200, {}),
    "form": ("<form method=post action='TO'><input name=a></form><script>document.forms[0].submit()</script>", 200, {}),
    "link": ("<a href='TO'>x</a><script>document.links[0].click()</script>", 200, {}),
}
TARGETS = {
    "loopback": "http://127.0.0.1:PORT/",
    "loopback over TLS": "https://127.0.0.1:PORT/",
    "scheme in capitals": "HTTP://127.0.0.1:PORT/",
    "no scheme": "//127.0.0.1:PORT/",
    "backslashes": r"\\127.0.0.1:PORT\x",
    "decimal": "http://2130706433:PORT/",
    "octal": "http://0177.1:PORT/",
    "this host": "http://0.0.0.0:PORT/",
    "IPv4-mapped": "http://[::ffff:127.0.0.1]:PORT/",
    "localhost": "http://localhost:PORT/",
    "user information": "http://public.test@127.0.0.1:PORT/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
}


@pytest.mark.parametrize("way", REDIRECTS)
def test_redirect_to_a_private_page_is_blocked(render: Bench, site: Site, neighbour: Site, way: str) -> None:
    html, status, headers = REDIRECTS[way]
    codes = {}
    for name, target in TARGETS.items():
        to = target.replace("PORT", str(neighbour.port))
        sent = {field: value.replace("TO", to) for field, value in headers.items()}
        codes[name] = render.error(site.page("/r", html.replace("TO", to), status, **sent))
    assert codes == dict.fromkeys(TARGETS, "blocked_target")
    assert neighbour.hits == []


def test_page_cannot_reach_a_private_server_in_any_way(render: Bench, site: Site, neighbour: Site) -> None:
    """Each of these ways reached 127.0.0.1 in a browser without the proxy."""
    host = f"127.0.0.1:{neighbour.port}"
    ways = "".join(
        f"""<img src="http://{address}/img"><iframe src="http://{address}/frame"></iframe>
        <link rel=stylesheet href="http://{address}/css"><link rel=preconnect href="http://{address}">
        <link rel=prefetch href="http://{address}/pre"><script src="https://{address}/js"></script>
        <object data="http://{address}/object"></object><video src="http://{address}/video" autoplay></video>
        <script>
          fetch("http://{address}/fetch", {{mode: "no-cors", method: "POST", body: "x"}}).catch(() => 0);
          navigator.sendBeacon("http://{address}/beacon", "x");
          new WebSocket("ws://{address}/ws"); new WebSocket("wss://{address}/wss");
          new EventSource("http://{address}/events"); open("http://{address}/popup");
          new Worker(URL.createObjectURL(new Blob(["fetch('http://{address}/worker')"])));
        </script>"""
        for address in (host, f"localhost:{neighbour.port}", f"[::1]:{neighbour.port}", f"2130706433:{neighbour.port}")
    )
    answer = render(site.page("/ways", f"<p>printed</p>{ways}"))
    assert "printed" in text_of(answer)
    assert neighbour.hits == []
    assert answer.report is not None
    assert answer.report.network["refused"] > 10


def test_webrtc_sends_no_datagram(render: Bench, site: Site) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stun:
        stun.bind(("127.0.0.1", 0))
        stun.settimeout(0.2)
        script = f"""<p>asked</p><script>
          const peer = new RTCPeerConnection({{iceServers: [
            {{urls: "stun:127.0.0.1:{stun.getsockname()[1]}"}},
            {{urls: "turn:127.0.0.1:{stun.getsockname()[1]}", username: "u", credential: "p"}}]}});
          peer.createDataChannel("x"); peer.createOffer().then(offer => peer.setLocalDescription(offer));
        </script>"""
        assert "asked" in text_of(render(site.page("/rtc", script), options={"delay": 1}))
        try:
            received = stun.recv(100)
        except TimeoutError:
            received = b""
    assert received == b""


def test_page_sends_no_request_after_the_end_of_its_job(render: Bench, site: Site) -> None:
    # A request from before the end may still be in the server's buffer, so each one says when it was made.
    script = "<p>first</p><script>setInterval(() => fetch('/tick?' + Date.now()), 20)</script>"
    wait = {"wait_until": "load", "delay": 0.5}  # the page never comes to rest
    assert "first" in text_of(render(site.page("/first", script), options=wait))
    ended = time.time() * 1000
    assert "second" in text_of(render(site.page("/second", "second")))
    made = [int(path.partition("?")[2]) for path in site.paths() if path.startswith("/tick?")]
    assert made and max(made) <= ended
