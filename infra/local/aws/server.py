"""S3, SQS, EventBridge, SES and Secrets Manager on this machine: moto's application, in a process of its own.

    python -m infra.local.aws.server --port 0 [--mails DIR]

prints `{"port": N}` once it listens. moto's own server is left out for four reasons:

- Requests must be served one at a time. moto checks the condition of a PUT (If-None-Match, If-Match) and writes in two
  steps; side by side, two clients would both create an object that must be created once. Here one thread runs the
  application, which makes every request atomic, as S3 promises. Long polls of SQS have threads of their own, or
  nothing else would be served while they wait.
- It closes every connection and waits 10 ms for stray bytes after each request; aiohttp's server keeps them open.
- Every mail that SES accepts is written as a file that people can read, before the sender has its answer.
- infra/local/aws/s3_rules.py corrects where moto's S3 differs from S3.

One thread serves everything, so two results that moto computes again for each request are cached: the service of an
address (moto lists its own folders to find it), and the parsed paths of EventBridge's templates.
"""

import argparse
import asyncio
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email import policy
from email.message import EmailMessage
from email.utils import formatdate
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.ses.models import ses_backends

from infra.local.aws.s3_rules import Answer, serve_as_s3
from infra.local.template.addresses import ACCOUNT, REGION

_BODY_LIMIT = 1 << 30  # bytes; S3 takes large objects
_LONG_POLLS = 64  # at once


def aws_app(mails: Path | None) -> web.Application:
    """Moto behind aiohttp; `mails` is the folder for what SES sends."""
    dispatcher = DomainDispatcherApplication(create_backend_app)
    vars(dispatcher)["get_backend_for_host"] = cache(dispatcher.get_backend_for_host)
    paths = vars(import_module("jsonpath_ng.ext"))
    paths["parse"] = cache(paths["parse"])
    mailbox = Mailbox(mails)
    one_at_a_time = ThreadPoolExecutor(1, "moto")
    long_polls = ThreadPoolExecutor(_LONG_POLLS, "poll")

    def call(environ: dict[str, Any]) -> Answer:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            started[:] = [int(status.split(" ", 1)[0]), headers]

        result = dispatcher(environ, start_response)
        body = b"".join(result)
        if hasattr(result, "close"):
            result.close()
        return started[0], started[1], body

    def answer(environ: dict[str, Any], body: bytes, after: Callable[[], None]) -> Answer:
        answered = serve_as_s3(environ, body, call)
        after()
        return answered

    async def serve(request: web.Request) -> web.Response:
        sent = await request.read()
        environ = _environ(request, sent)
        polls = request.headers.get("X-Amz-Target") == "AmazonSQS.ReceiveMessage"
        pool, after = (long_polls, _nothing) if polls else (one_at_a_time, mailbox.collect)
        status, headers, body = await asyncio.get_running_loop().run_in_executor(pool, answer, environ, sent, after)
        response = web.Response(status=status, body=None if request.method == "HEAD" else body)
        response.headers.popall("Content-Type", None)
        for name, value in headers:
            # HEAD tells the length of what GET would send; otherwise aiohttp counts for itself
            if name.lower() not in ("connection", "content-length") or request.method == "HEAD":
                response.headers.add(name, value)
        return response

    app = web.Application(client_max_size=_BODY_LIMIT)
    app.router.add_route("*", "/{path:.*}", serve)
    return app


def _nothing() -> None:
    """A long poll sends no mail."""


def _environ(request: web.Request, body: bytes) -> dict[str, Any]:
    """The request as WSGI wants it (PEP 3333)."""
    host, _, port = request.host.partition(":")
    raw = request.rel_url.raw_path
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw).decode("latin-1"),
        "QUERY_STRING": request.rel_url.raw_query_string,
        "RAW_URI": request.raw_path,  # S3 keys that contain encoded slashes are read from here
        "REQUEST_URI": request.raw_path,
        "REMOTE_ADDR": request.remote or "127.0.0.1",
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING", "CONNECTION", "EXPECT"):
            key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


class Mailbox:
    """Writes what SES has sent since the last look into files, one per mail."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._written = 0

    def collect(self) -> None:
        if self._folder is None:
            return
        sent = ses_backends[ACCOUNT][REGION].sent_messages
        for message in sent[self._written :]:
            self._written += 1
            file = self._folder / f"{self._written:04d}.eml"
            scratch = file.with_suffix(".part")
            scratch.write_bytes(_readable(message))
            scratch.rename(file)  # a reader of the folder never sees half a mail


def _readable(message: Any) -> bytes:
    """A mail as text, headers first; moto keeps simple, raw and templated mails differently."""
    if hasattr(message, "raw_data"):
        return str(message.raw_data).encode()
    mail = EmailMessage()
    mail["From"] = message.source
    destinations = message.destinations if isinstance(message.destinations, dict) else {}
    for header, key in (("To", "ToAddresses"), ("Cc", "CcAddresses"), ("Bcc", "BccAddresses")):
        if destinations.get(key):
            mail[header] = ", ".join(destinations[key])
    mail["Subject"] = " ".join(str(getattr(message, "subject", "") or "").split())
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{message.id}@email.amazonses.com>"
    mail.set_content(str(getattr(message, "body", "")), cte="8bit")  # not base64: the file is for people
    return mail.as_bytes(policy=policy.SMTPUTF8.clone(linesep="\n"))


async def _run(listening: socket.socket, mails: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(aws_app(mails), access_log=None, keepalive_timeout=300, shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    port = listening.getsockname()[1]
    os.environ["MOTO_PORT"] = str(port)  # moto writes it into the addresses that it gives out
    print(json.dumps({"port": port}), flush=True)
    await stop.wait()
    os._exit(0)  # nothing to save, and long polls still hold threads


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.aws.server", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--fd", type=int, help="a listening socket, inherited, in place of a port")
    parser.add_argument("--mails", type=Path, help="folder for the mails that SES accepts")
    arguments = parser.parse_args()
    if arguments.mails is not None:
        arguments.mails.mkdir(parents=True, exist_ok=True)
    if arguments.fd is None:
        listening = socket.create_server(("127.0.0.1", arguments.port), backlog=256)
    else:
        listening = socket.socket(fileno=arguments.fd)
    asyncio.run(_run(listening, arguments.mails))


if __name__ == "__main__":
    main()
