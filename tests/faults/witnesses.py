"""Receives the events of the bus, the ends on the exchange and the callbacks, and writes them into the books."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import amqp

from tests.bench.local import connect
from tests.faults.books import Books
from tests.faults.effects import Post
from tests.faults.stand import Running
from urlshot.core.messages import COMPLETED, EXCHANGE, FAILED, START, START_BULK

ENDS_QUEUE, STARTS_QUEUE = "faults_ends", "faults_starts"
OWN_QUEUES = (ENDS_QUEUE, STARTS_QUEUE)
_PAUSE = 0.5


class BusWitness:
    """Has a rule and a queue of its own on the bus, and reads every event."""

    def __init__(self, stand: Running, books: Books) -> None:
        self._books = books
        self._sqs = stand.client("sqs")
        events = stand.client("events")
        self._url = self._sqs.create_queue(QueueName="faults-events")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus = stand.ready["bus"]
        events.put_rule(Name="faults", EventBusName=bus, EventPattern=json.dumps({"source": ["urlshot"]}))
        events.put_targets(Rule="faults", EventBusName=bus, Targets=[{"Id": "faults", "Arn": arn}])
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="bus", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._closing:
            received = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1, AttributeNames=["SentTimestamp"]
            ).get("Messages", [])
            for message in received:
                sent = float(message["Attributes"]["SentTimestamp"]) / 1000
                self._books.event(sent, json.loads(message["Body"])["detail"])
            if received:
                entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(received)]
                self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def close(self) -> None:
        self._closing = True
        self._thread.join(30)


class QueueWitness:
    """Has durable queues on the exchange: one for the ends of jobs, one for copies of the jobs' messages.

    It uses the broker itself, not the proxy, and connects again when the broker was stopped.
    """

    def __init__(self, stand: Running, books: Books) -> None:
        self._url = stand.amqp_url
        self._books = books
        self.starts: deque[tuple[bytes, str]] = deque(maxlen=2000)
        """The newest messages of jobs, with the names of their queues."""
        self._closing = False
        self._declare()
        self._thread = threading.Thread(target=self._run, name="ends", daemon=True)
        self._thread.start()

    def copy(self, text: str, seconds: float) -> tuple[bytes, str] | None:
        """Waits for the newest message that contains a text; returns it with its queue, or None if there is none."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for body, queue in reversed(list(self.starts)):
                if text.encode() in body:
                    return body, queue
            time.sleep(0.05)
        return None

    def _declare(self) -> None:
        connection = connect(self._url)
        channel = connection.channel()
        for queue, keys in ((ENDS_QUEUE, (COMPLETED, FAILED)), (STARTS_QUEUE, (START, START_BULK))):
            channel.queue_declare(queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
            for key in keys:
                channel.queue_bind(queue, EXCHANGE, key)
        connection.collect()

    def _run(self) -> None:
        while not self._closing:
            try:
                self._consume()
            except (OSError, amqp.exceptions.AMQPError):
                time.sleep(_PAUSE)

    def _consume(self) -> None:
        connection = connect(self._url)
        try:
            channel = connection.channel()
            channel.basic_qos(0, 200, a_global=False)

            def on_end(message: Any) -> None:
                self._books.completion(json.loads(message.body), message.properties.get("correlation_id", ""))
                channel.basic_ack(message.delivery_tag)

            def on_start(message: Any) -> None:
                body = message.body if isinstance(message.body, bytes) else message.body.encode()
                queue = "generate_shot_bulk" if message.delivery_info["routing_key"] == START_BULK else "generate_shot"
                self.starts.append((body, queue))
                channel.basic_ack(message.delivery_tag)

            channel.basic_consume(ENDS_QUEUE, callback=on_end)
            channel.basic_consume(STARTS_QUEUE, callback=on_start)
            while not self._closing:
                try:
                    connection.drain_events(timeout=0.5)
                except TimeoutError:
                    continue
        finally:
            connection.collect()

    def close(self) -> None:
        self._closing = True
        self._thread.join(10)


class CallbackWitness:
    """Receives callbacks over TLS at https://localhost:<port>.

    `/ok/` answers 204. `/lost/` reads the first POST and breaks the connection without an answer. `/error/` answers the
    first POST with 500, and `/slow/` takes three seconds.

    Args:
        certificate: The file with its certificate and key.
        books: Get the callbacks.
        find: Returns the function's process that has the local port of a connection.
    """

    def __init__(self, certificate: Path, books: Books, find: Callable[[int], int | None]) -> None:
        seen: set[str] = set()
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                pid = find(int(self.client_address[1]))
                with lock:
                    first = self.path not in seen
                    seen.add(self.path)
                status = 204
                if self.path.startswith("/slow/"):
                    time.sleep(3)
                elif first and self.path.startswith("/lost/"):
                    status = 0
                elif first and self.path.startswith("/error/"):
                    status = 500
                with books.lock:
                    job = body["data"]["id"]
                    books.posts.append(Post(time.time(), self.path, self.headers["webhook-id"], status, job, pid))
                self.close_connection = True
                if status:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # killed functions disconnect

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"https://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
