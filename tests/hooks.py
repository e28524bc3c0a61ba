"""A server that takes callbacks over TLS on loopback, and does to them what its paths are told to."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64decode
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True)
class Post:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def signed_by(self, public_key: str) -> bool:
        """Whether it is signed as Standard Webhooks 1.0.0 says, by its own words and another library than ours."""
        key = Ed25519PublicKey.from_public_bytes(b64decode(public_key.removeprefix("whpk_"), validate=True))
        text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        for signature in self.headers["webhook-signature"].split(" "):
            version, _, value = signature.partition(",")
            try:
                key.verify(b64decode(value, validate=True), text)
            except InvalidSignature:
                continue
            return version == "v1a"
        return False


class Hooks:
    """Listens at https://<name>:<port>, with a certificate that holds its key too."""

    def __init__(self, certificate: Path, name: str = "localhost") -> None:
        self.posts: list[Post] = []
        self.answers: dict[str, list[int]] = defaultdict(list)
        """Statuses that a path answers with, one after the other; then 204."""
        self.silent: set[str] = set()
        """Paths that never answer."""
        self._end = threading.Event()
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                hooks.posts.append(Post(self.path, headers, body))
                if self.path in hooks.silent:
                    hooks._end.wait(60)
                    return
                answers = hooks.answers[self.path]
                self.send_response(answers.pop(0) if answers else 204)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                pass  # clients that go away in the middle are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # Handshakes are made in the thread of each connection, not where they are accepted.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        self.url = f"https://{name}:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def at(self, path: str) -> list[Post]:
        return [post for post in self.posts if post.path == path]

    def close(self) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
