"""A server on loopback that receives callbacks over TLS and answers each path as a test sets it."""

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
    """A POST as it was received. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def signed_by(self, public_key: str) -> bool:
        """Says whether the POST has a v1a signature of Standard Webhooks 1.0.0.

        This follows the specification and uses another library than the product does, so it is an independent check.
        """
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
    """Listens at https://<name>:<port>. `certificate` is a PEM file that holds the key too."""

    def __init__(self, certificate: Path, name: str = "localhost", address: str = "127.0.0.1") -> None:
        self.posts: list[Post] = []
        self.answers: dict[str, list[int]] = defaultdict(list)
        """The statuses that each path answers with, in order; after them, 204."""
        self.silent: set[str] = set()
        """Paths that do not answer."""
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
                pass  # some tests disconnect in the middle of a request

        self._server = Server((address, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # Each connection's own thread makes the handshake, so that a slow one does not block the accepting thread.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        self.url = f"https://{name}:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def at(self, path: str) -> list[Post]:
        """Returns the POSTs to a path, in the order in which they came."""
        return [post for post in self.posts if post.path == path]

    def close(self) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
