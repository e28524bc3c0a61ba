"""Sends requests and messages of all kinds, and writes into the books what was promised for them."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import amqp

from tests.bench.local import connect
from tests.faults.books import Books, Promise
from tests.faults.stand import Running
from urlshot.core.identity import job_id
from urlshot.core.messages import EXCHANGE, START, START_BULK

CALL_SECONDS = 35.0
SECRET = "faults-secret-value"
BATCH = 4

WEIGHTS = {
    "single": 30,
    "bulk": 12,
    "bare": 14,
    "private": 6,
    "callback": 7,
    "unanswered": 2,
    "repeat": 18,
    "failing": 3,
    "real": 5,
}
"""How often each kind is sent."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Load:
    """Sends one kind at a time from any thread.

    Args:
        stand: The running stack.
        books: Get the promises.
        pages: The host:port of the pages.
        hooks: The URL of the callback server.
        seed: Decides what is drawn.
        name: The first part of all paths.
    """

    def __init__(self, stand: Running, books: Books, pages: str, hooks: str, seed: int, name: str = "f") -> None:
        self._stand = stand
        self.books = books
        self._pages = pages
        self._hooks = hooks
        self._drawn = random.Random(seed)
        self._lock = threading.Lock()
        self._number = itertools.count()
        self._name = name
        self._urls: list[str] = []
        self._channel: Any = None
        self._publishing = threading.Lock()
        self.sent = 0
        """Requests and messages that were sent, each of a batch counted."""

    # ---- URLs --------------------------------------------------------------------------------------------------------

    def url(self, kind: str, query: str = "") -> str:
        """Returns a new URL; those with `simulated` have a simulated render."""
        with self._lock:
            number, seconds = next(self._number), self._drawn.choice((0.05, 0.1, 0.3, 0.8))
        if kind == "real":
            return f"http://{self._pages}/plain/{self._name}{number}"
        return f"http://{self._pages}/simulated/{self._name}{number}?seconds={seconds}{query}"

    def draw_kind(self) -> str:
        with self._lock:
            return self._drawn.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    def _old_url(self) -> str:
        with self._lock:
            return self._drawn.choice(self._urls) if self._urls else ""

    # ---- kinds -------------------------------------------------------------------------------------------------------

    def send(self, kind: str) -> None:
        """Sends one request or message of a kind; `bulk` sends a batch."""
        match kind:
            case "bulk":
                self.batch([self.url("single") for _ in range(BATCH)])
            case "bare":
                url = self.url("single")
                self.publish({"url": url}, Promise(time.time(), url, job_id(url, {})), bulk=self._chance(0.3))
                self._keep(url)
            case "private":
                self._private()
            case "callback" | "unanswered":
                self._callback("lost" if kind == "unanswered" else self._draw("ok", "ok", "slow", "error"))
            case "repeat":
                self.post(self._old_url() or self.url("single"), **({"max_age": 0} if self._chance(0.2) else {}))
            case "failing":
                self.post(self.url("single", self._draw("&limit=1", "&fail=page_status", "&fail=page_unavailable")))
            case "real":
                self.post(self.url("real"))
            case _:
                url = self.url("single")
                self.post(url)
                self._keep(url)

    def _private(self) -> None:
        private = {"headers": {"X-Secret": SECRET}}
        if self._chance(0.5):
            self.post(self.url("single"), private=private)
        else:
            url = self.url("single")
            self.publish({"url": url, "private": private}, Promise(time.time(), url, url=url))

    def _callback(self, how: str) -> None:
        with self._lock:
            path = f"/{how}/{next(self._number)}"
        if self.post(self.url("single"), callback_url=self._hooks + path) in (200, 202):
            with self.books.lock:
                self.books.subscribed.add(path)

    def _keep(self, url: str) -> None:
        with self._lock:
            self._urls.append(url)

    def _chance(self, share: float) -> bool:
        with self._lock:
            return self._drawn.random() < share

    def _draw(self, *values: str) -> str:
        with self._lock:
            return self._drawn.choice(values)

    # ---- sending -----------------------------------------------------------------------------------------------------

    def post(self, url: str, **more: Any) -> int:
        """Requests a PDF, and returns the status of the answer; 0 for none. A 202 is a promise."""
        at = time.time()
        status, answer = self._call("/pdf", {"url": url, **more})
        self._note("POST", status)
        if status == 202:
            self.books.promise(Promise(at, f"POST {url}", answer["id"]))
        return status

    def batch(self, urls: list[str]) -> None:
        """Requests several PDFs at once; each result with 202 is a promise."""
        at = time.time()
        status, answer = self._call("/pdf/batch", {"requests": [{"url": url} for url in urls]})
        self._note("batch", status, len(urls))
        if status == 200:
            for url, result in zip(urls, answer["results"], strict=True):
                if result["status"] == 202:
                    self.books.promise(Promise(at, f"batch {url}", result["body"]["id"]))

    def _call(self, path: str, body: object) -> tuple[int, Any]:
        request = urllib.request.Request(
            self._stand.ready["endpoint"] + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "x-api-key": self._stand.ready["api_key"]},
            method="POST",
        )
        try:
            with _OPENER.open(request, timeout=CALL_SECONDS) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, None
        except (OSError, ValueError):
            return 0, None

    def _note(self, what: str, status: int, count: int = 1) -> None:
        with self.books.lock:
            self.books.answers[f"{what} {status or 'no answer'}"] += 1
        self.sent += count

    def publish(
        self,
        body: object,
        promise: Promise | None = None,
        *,
        bulk: bool = False,
        refused: str = "",
        raw: bytes | None = None,
        queue: str = "",
    ) -> bool:
        """Publishes a message to the broker itself, and returns whether the broker confirmed it.

        Args:
            body: The message, which is sent as JSON.
            promise: What a confirm promises.
            bulk: Whether it goes to the queue for bulk jobs.
            refused: The correlation id of a message that must be refused.
            raw: The bytes of the message, in place of `body`.
            queue: The queue to which it is published directly.
        """
        data = raw if raw is not None else json.dumps(body).encode()
        message = amqp.Message(data, delivery_mode=2, correlation_id=refused or "faults")
        exchange, key = ("", queue) if queue else (EXCHANGE, START_BULK if bulk else START)
        with self._publishing:
            try:
                if self._channel is None:
                    self._channel = connect(self._stand.amqp_url).channel()
                self._channel.basic_publish_confirm(message, exchange, key, timeout=10, confirm_timeout=10)
            except (OSError, amqp.exceptions.AMQPError):
                self._drop()
                self._note("message", 0)
                return False
        self._note("message", 200)
        if promise is not None:
            self.books.promise(promise)
        if refused:
            with self.books.lock:
                self.books.bad.add(refused)
        return True

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and channel.connection is not None:
            channel.connection.collect()


class Background:
    """Sends the drawn kinds from some threads until it is stopped.

    Args:
        load: Sends.
        rate: Requests and messages per second in all.
        most_open: How many jobs may be open; above that nothing is sent, so that jobs reach all stages soon.
        threads: How many may wait for an answer at the same time.
    """

    def __init__(self, load: Load, rate: float, most_open: int, threads: int = 6) -> None:
        self._load = load
        self._most_open = most_open
        self._stop = threading.Event()
        self._pause = threads / rate
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._pause * random.uniform(0.5, 1.5)):
            if self._load.books.open_jobs() < self._most_open:
                self._load.send(self._load.draw_kind())

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(CALL_SECONDS + 5)
