"""Attacks the whole local stack in a network of its own: `python -m tests.e2e.egress_runner`, as root.

Requests come by HTTP and by AMQP, names are rebound by the network's DNS server, and a recorder sees each packet on
every interface. The results go to stdout as JSON.
"""

from __future__ import annotations

import io
import ipaddress
import itertools
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import amqp
from pypdf import PdfReader

from tests.bypasses import BYPASSES
from tests.certificates import certificate
from tests.e2e import conftest
from tests.e2e.conftest import Pages, Stack, call, eventually
from tests.hooks import Hooks
from tests.integration.egress.attempts import DENIED, NAMES, PAGES_PORT, PUBLIC, PUBLIC_6, Attempt, Plan, hosts_of
from tests.integration.egress.listeners import Listeners
from tests.integration.egress.network import furnish, isolate
from tests.integration.egress.ways import DATAGRAMS, FRAMES, PUBLISHED, REDIRECTS, SCRIPTS, TAGS

TARGET = 9001
"""The port of Lambda's runtime API; here every address has a server on it."""
FIRST_PORT = 20000
SECRET = "the-other-jobs-secret"
HOOKS = "hooks.test"
_SECURE = {"worklet", "audio worklet"}  # need an origin with TLS or on localhost; tests/integration/egress has one
WAYS = {**REDIRECTS, **FRAMES, **TAGS, **SCRIPTS, **PUBLISHED, **DATAGRAMS}
WAYS = {way: html for way, html in WAYS.items() if way not in _SECURE}
PER_PAGE = 45
PATIENCE = 600.0
"""Seconds until the end of all jobs, which start together."""

_FROM_OUTSIDE = [f"http://{host}:{TARGET}/" for host in hosts_of("10.0.0.1", "127.0.0.1")]
_PUBLISHED = [url for url, _ in BYPASSES.values()]


class Recorder:
    """Notes the destination of each packet of IP on every interface (packet(7))."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        """Address and port; port 0 if the protocol has none."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # ETH_P_ALL
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        threading.Thread(target=self._read, daemon=True).start()

    def dropped(self) -> int:
        """Returns the number of packets that were not noted."""
        return int(struct.unpack("II", self._socket.getsockopt(263, 6, 8))[1])  # SOL_PACKET, PACKET_STATISTICS

    def _read(self) -> None:
        packet = bytearray(128)
        while True:
            size = self._socket.recv_into(packet)
            if size < 20:
                continue
            if packet[0] >> 4 == 4:
                host, at, protocol = str(ipaddress.IPv4Address(bytes(packet[16:20]))), (packet[0] & 15) * 4, packet[9]
            elif packet[0] >> 4 == 6 and size >= 40:
                host, at, protocol = str(ipaddress.IPv6Address(bytes(packet[24:40]))), 40, packet[6]
            else:
                continue
            has_port = protocol in (6, 17) and size >= at + 4
            self.seen.add((host, int.from_bytes(packet[at + 2 : at + 4], "big") if has_port else 0))

    def private(self, targets: Iterable[int]) -> list[tuple[str, int]]:
        """Returns the packets to other addresses than the public ones; on loopback, those to the ports of targets."""
        watched = set(targets)
        return sorted(
            (host, port)
            for host, port in self.seen
            if host not in (PUBLIC, PUBLIC_6)
            and not host.startswith("ff02::")
            and host != "224.0.0.22"  # the kernel's own: neighbours, and groups
            and (port in watched or not (host.startswith("127.") or host == "::1"))
        )


def attempts() -> list[list[Attempt]]:
    """Returns the attempts of the pages: each way with each target. A public target shows that the way works."""
    ports = itertools.count(FIRST_PORT)
    found: list[list[Attempt]] = []
    for host in ("10.0.0.1", "127.0.0.1", "[fd00:ec2::254]", "169.254.169.254", "private.test", PUBLIC):
        made = [Attempt(way, html, host, next(ports), host == PUBLIC) for way, html in WAYS.items()]
        found += [made[at : at + PER_PAGE] for at in range(0, len(made), PER_PAGE)]
    repeated = "<img src='URL'><script>setTimeout(() => fetch('URL?2', {mode: 'no-cors'}), 300)</script>"
    return [*found, [Attempt("rebinding", repeated, f"rebind-{at}.test", next(ports), False) for at in range(6)]]


def files(folder: Path) -> str:
    """Returns a page that tries to read the files of this machine, as other jobs may leave some."""
    (folder / "secret.txt").write_text(SECRET)
    urls = [
        f"file://{folder}/secret.txt",
        f"FILE://{folder}/secret.txt",
        rf"file:\\{folder}/secret.txt",
        "file:///tmp/",
    ]
    urls += ["file:///proc/self/environ", "file:///etc/passwd", "view-source:file:///etc/passwd"]
    frames = "".join(f'<iframe src="{url}"></iframe><object data="{url}"></object><embed src="{url}">' for url in urls)
    reads = "".join(f"read({json.dumps(url)});" for url in urls)
    return f"""<!doctype html><p>printed</p>{frames}<script>
      const show = text => document.body.append(text);
      const read = url => {{
        fetch(url).then(r => r.text()).then(show).catch(() => 0);
        try {{ const x = new XMLHttpRequest(); x.open('GET', url, false); x.send(); show(x.responseText) }} catch {{ }}
        try {{ importScripts(url) }} catch {{ }}
        open(url);
      }};
      {reads}</script>"""


def ended(stack: Stack, job: str) -> dict[str, Any]:
    """Waits for the end of a job."""

    def look() -> dict[str, Any] | None:
        try:
            answer = call("GET", f"{stack.endpoint}/pdf/{job}?wait=20")
        except TimeoutError:
            return None  # all jobs start together, and a busy machine may not answer in time
        found: dict[str, Any] = answer.json()
        return found if found.get("state") in ("done", "failed") else None

    end: dict[str, Any] = eventually(look, f"the end of job {job}", PATIENCE)
    return end


def publish(stack: Stack, bodies: list[bytes]) -> list[dict[str, Any]]:
    """Publishes messages by plain AMQP, and returns what is announced: one completion or failure for each."""
    channel = stack.channel()
    channel.queue_declare("ends", exclusive=True)
    for key in ("shot_direct.completed", "shot_direct.failed"):
        channel.queue_bind("ends", "shot_direct", key)
    for number, body in enumerate(bodies):
        message = amqp.Message(body, correlation_id=f"attack-{number}", delivery_mode=2)
        channel.basic_publish(message, "shot_direct", "shot_direct.start", mandatory=True)
    found: dict[str, dict[str, Any]] = {}
    while len(found) < len(bodies):
        end = eventually(lambda: channel.basic_get("ends", no_ack=True), "the end of an attack", PATIENCE)
        if (name := end.properties.get("correlation_id", "")).startswith("attack-"):
            found[name] = {"body": bodies[int(name[7:])].decode(), **json.loads(end.body)}
    channel.connection.close()
    return list(found.values())


def main() -> None:
    isolate()
    place = Path(tempfile.mkdtemp(prefix="attack-", dir="/tmp"))
    place.chmod(0o755)  # the broker has another user
    device = furnish(place)
    recorder = Recorder()

    groups = attempts()
    plan = Plan.of(groups, "guarded")
    served = plan.pages | {"/files": files(place), "/plain": "<!doctype html><p>printed</p>"}
    names = {**NAMES, HOOKS: [[PUBLIC]], "rebind-direct.test": [[PUBLIC], ["10.0.0.1"]]}
    names |= {f"rebind-hook-{number}.test": [[PUBLIC], ["10.0.0.1"]] for number in range(3)}
    listeners = Listeners({*plan.ports, PAGES_PORT, TARGET, 80}, served, names, plan.awaited)
    tls = certificate(place, HOOKS)
    hooks = Hooks(tls, HOOKS, "0.0.0.0")
    hooks.answers["/redirects"] = [302] * 9
    pages = Pages()
    parameters = {"RetryDelays": "1,2", "Renders": "2", "RequireApiKey": "true", "DenyHosts": DENIED}
    words = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    stack = conftest.start(pages, place / "ready.json", "--ca", str(tls), *words)
    try:
        found = attack(stack, groups, hooks)
    finally:
        conftest.stop(stack)
        pages.close()
    visits = set(listeners.visits)
    reached = [one for group in groups for one in group if one.reached(visits)]
    targets = {*plan.ports, TARGET, 80, 443}
    found |= {
        "breaches": recorder.private(targets),
        "reached": [one.name for one in reached if not one.allowed],
        "controls": [one.way for one in reached if one.allowed],
        "expected": sorted({one.way for group in plan.awaited.values() for one in group}),
        "attempts": sum(len(group) for group in groups),
        "asked": {name: listeners.asked[name] for name in names if name.startswith("rebind")},
        "dropped": recorder.dropped(),
    }
    with socket.socket() as probe:  # the recorder sees what must not be there
        probe.settimeout(5)
        probe.connect(("10.0.0.1", TARGET))
    found["seen"] = eventually(lambda: ("10.0.0.1", TARGET) in recorder.seen, "the packet of the probe")
    os.close(device)
    json.dump(found, sys.stdout)
    shutil.rmtree(place, ignore_errors=True)


def attack(stack: Stack, groups: list[list[Attempt]], hooks: Hooks) -> dict[str, Any]:
    """Makes all attacks, and returns their outcomes."""
    origin = f"http://{PUBLIC}:{PAGES_PORT}"
    found: dict[str, Any] = {}

    def code(answer: conftest.Answer) -> str:
        return str(answer.json().get("code", answer.status))

    # Spellings that are refused at once, and by AMQP as well.
    direct = [*_FROM_OUTSIDE, *_PUBLISHED]
    found["refused"] = [[url, code(stack.post(url))] for url in direct]
    bad_hooks = [url.replace("http:", "https:", 1) for url in direct]
    refused = [stack.post(f"{origin}/plain", callback_url=url) for url in bad_hooks]
    found["refused hooks"] = [[url, code(answer)] for url, answer in zip(bad_hooks, refused, strict=True)]
    # Names, redirects, pages and rebinding, which only the renderer can judge.
    redirects = [f"http://10.0.0.1:{TARGET}/", f"HTTP://127.1:{TARGET}/", f"//[::ffff:10.0.0.1]:{TARGET}/"]
    redirects += [f"http://private.test:{TARGET}/", "file:///etc/passwd", "data:text/html,x", f"http://{DENIED}/"]
    redirects += [rf"\\10.0.0.1:{TARGET}\x", f"http://public.test@10.0.0.1:{TARGET}/"]
    late = [f"{origin}/redirect/302?to={url}" for url in redirects]
    late += [f"http://{name}:{TARGET}/" for name in NAMES if "private" in name or "mixed" in name or "mapped" in name]
    shown = [f"{origin}/page/{number}" for number in range(len(groups))]
    shown += [f"{origin}/files", f"http://rebind-direct.test:{PAGES_PORT}/plain"]
    jobs = [stack.post(url).json()["id"] for url in (*late, *shown)]
    css = {"css": f"body {{ background: url(http://10.0.0.1:{TARGET}/) }}", "media": "screen"}
    private = f"http://10.0.0.1:{TARGET}/"
    markup = f"<img src='{private}'><iframe src='{private}'></iframe><b style='background:url({private})'>x</b>"
    options: list[dict[str, Any]] = [css, {"header_template": markup, "footer_template": markup}]
    options.append({"wait_expression": f"fetch('http://10.0.0.1:{TARGET}/').catch(() => 0) && true"})
    jobs += [stack.post(f"{origin}/plain", options=option).json()["id"] for option in options]
    ends = [ended(stack, job) for job in jobs]
    found["late"] = [[url, (end["error"] or {}).get("code")] for url, end in zip(late, ends, strict=False)]
    found["shown"] = [[end["url"], end["state"]] for end in ends[len(late) :]]
    file = call("GET", ends[jobs.index(jobs[len(late) + len(groups)])]["links"]["pdf"])
    found["files"] = SECRET.encode() in file.body or b"root:" in _text(file.body)
    # The same by AMQP.
    bodies = [json.dumps({"url": url}).encode() for url in direct[::3] + late[:4]]
    bodies.append(json.dumps({"url": shown[0], "options": css}).encode())
    announced = publish(stack, bodies)
    found["announced"] = [[json.loads(end["body"])["url"], (end.get("error") or {}).get("code")] for end in announced]
    # Callbacks: a public one arrives, and neither names nor redirects lead it elsewhere.
    names = [
        "private.test",
        "mixed.test",
        "mapped.test",
        "six.private.test",
        *(f"rebind-hook-{n}.test" for n in range(3)),
    ]
    given = [hooks.url + "/good", hooks.url + "/redirects", *(f"https://{name}:{TARGET}/" for name in names)]
    for url in given:
        assert stack.post(f"{origin}/plain", callback_url=url).status in (200, 202)
    eventually(lambda: hooks.at("/good") and hooks.at("/redirects"), "the allowed callbacks", PATIENCE)
    log = Path(stack.ready["logs"]) / "CallbackFunction.log"

    def failed() -> dict[str, str]:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return {line["host"].partition(":")[0]: line["reason"] for line in lines if "reason" in line}

    eventually(lambda: set(names) <= set(failed()), "the ends of the forbidden callbacks", PATIENCE)
    found["hooks"] = failed()
    return found


def _text(pdf: bytes) -> bytes:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).encode()


if __name__ == "__main__":
    main()
