"""Servers on every address of the network namespace, which record visits, and the namespace's DNS server."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit

from .attempts import Attempt

HOLD_SECONDS = 0.8
"""The least time that a page has for its attempts, most of which must not arrive."""
LONGEST_HOLD_SECONDS = 15.0
"""The longest wait for attempts that must arrive; a busy machine needs more than HOLD_SECONDS."""
_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "html": "text/html", "png": "image/png"}
_A, _AAAA = 1, 28


class Listeners:
    """One TCP and one UDP socket for each port, on all addresses, served by a thread of their own.

    `visits` holds (protocol, local address, port) of each visit. For TCP, an accepted connection is a visit.
    """

    def __init__(
        self,
        ports: Iterable[int],
        pages: dict[str, str],
        names: dict[str, list[list[str]]],
        awaited: dict[str, Sequence[Attempt]],
    ) -> None:
        """Binds the sockets and starts to serve.

        Args:
            ports: The ports to listen on.
            pages: HTML by path.
            names: The DNS answers of each name, in the order in which they are given.
            awaited: The attempts that must arrive before a path /hold/<n> is answered, by path.
        """
        self.visits: set[tuple[str, str, int]] = set()
        self.asked: Counter[str] = Counter()
        """How many DNS queries each name got, A and AAAA together."""
        self._a_asked: Counter[str] = Counter()
        self._pages = pages
        self._names = names
        self._awaited = awaited
        self._arrived = asyncio.Event()
        self._servers: list[asyncio.Server] = []  # the loop keeps no reference of its own
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._listen(list(ports)))
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _listen(self, ports: list[int]) -> None:
        for port in ports:
            tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
            self._servers.append(await asyncio.start_server(self._serve, sock=tcp))
            udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            udp.bind(("::", port))
            udp.setblocking(False)
            self._loop.add_reader(udp, self._datagram, udp, port)
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("127.0.0.53", 53))
        names.setblocking(False)
        self._loop.add_reader(names, self._name, names)

    def _datagram(self, udp: socket.socket, port: int) -> None:
        udp.recvfrom(65536)
        self._visit("udp", "", port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("sockname")[:2]
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        self._visit("tcp", str(mapped or address), port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            first = await asyncio.wait_for(reader.read(1), 3)
            if first.isalpha():  # otherwise it is TLS, which needs no answer: the visit is recorded
                head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3)).decode("latin-1")
                writer.write(await self._answer(head.split(" ")[1]))
                await writer.drain()
        writer.close()

    async def _answer(self, target: str) -> bytes:
        url = urlsplit(target)
        if url.path.startswith("/hold"):
            await asyncio.sleep(HOLD_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all(self._awaited.get(url.path, ())), LONGEST_HOLD_SECONDS)
        status, extra, body, kind = "200 OK", "", b"", "text/html"
        if url.path.startswith("/redirect/"):
            kind_of, to = url.path.split("/")[2], parse_qs(url.query)["to"][0]
            if kind_of == "refresh":
                extra = f"Refresh: 0;url={to}\r\n"
            elif kind_of == "policy":
                extra, body = f"Content-Security-Policy: img-src 'none'; report-uri {to}\r\n", b"<img src=/x>"
            else:
                status, extra = f"{kind_of} Go", f"Location: {to}\r\n"
        elif url.path in self._pages:
            page = self._pages[url.path]
            if page.startswith("Link:"):
                extra, _, page = page.partition("\n\n")
                extra += "\r\n"
            body = page.encode()
        kind = _TYPES.get(url.path.rpartition(".")[2], kind)
        head = f"HTTP/1.1 {status}\r\n{extra}Content-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n".encode("latin-1") + body

    async def _all(self, attempts: Sequence[Attempt]) -> None:
        while not all(attempt.reached(self.visits) for attempt in attempts):
            self._arrived.clear()
            await self._arrived.wait()

    def _visit(self, protocol: str, address: str, port: int) -> None:
        self.visits.add((protocol, address, port))
        self._arrived.set()

    def _name(self, names: socket.socket) -> None:
        """Answers one DNS query (RFC 1035) with the name's next answer, and with its last one from then on."""
        query, sender = names.recvfrom(4096)
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode("latin-1"))
            at += 1 + length
        name, kind = ".".join(labels).lower(), struct.unpack_from(">H", query, at + 1)[0]
        self.asked[name] += 1
        answers = self._names.get(name)
        addresses: list[str] = []
        if answers:
            turn = self._a_asked[name]
            addresses = [found for found in answers[min(turn, len(answers) - 1)] if (":" in found) == (kind == _AAAA)]
            self._a_asked[name] += kind == _A
        flags = 0x8580 if answers else 0x8583
        reply = query[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0) + query[12 : at + 5]
        for address in addresses:
            packed = ipaddress.ip_address(address).packed
            reply += struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(packed)) + packed
        names.sendto(reply, sender)
