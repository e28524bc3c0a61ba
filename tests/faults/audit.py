"""Waits until everything has ended, and then checks the books against the bucket, the queues and the logs."""

from __future__ import annotations

import json
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp

from tests.bench.local import connect
from tests.faults.armory import Armory
from tests.faults.books import Books, check_bucket, slots_in_use
from tests.faults.effects import check_callbacks, check_mails
from tests.faults.load import SECRET
from tests.faults.stand import Running
from tests.faults.witnesses import OWN_QUEUES
from tests.simulation.books import Violation
from urlshot.core.messages import DEAD

_PAUSE = 2.0
_SHOWN = 4


class Audit:
    """Checks one run.

    Args:
        stand: The running stack.
        books: What was promised and what happened.
        max_attempts: How often a job may be rendered.
    """

    def __init__(self, stand: Running, books: Books, max_attempts: int) -> None:
        self._stand = stand
        self._books = books
        self._max_attempts = max_attempts
        self._s3 = stand.client("s3")
        self._bucket = stand.ready["bucket"]

    def wait(self, seconds: float, say: Callable[[str], None]) -> list[str]:
        """Waits until nothing is left to do; returns what is left after that time."""
        until = time.monotonic() + seconds
        quiet, said = 0, 0.0
        while quiet < 2:
            left = self._left()
            quiet = 0 if left else quiet + 1
            if time.monotonic() > until:
                return left
            if left and time.monotonic() - said > 20:
                said = time.monotonic()
                say(f"waiting for {len(left)} things: {'; '.join(left[:_SHOWN])}")
            time.sleep(_PAUSE)
        return []

    def _left(self) -> list[str]:
        left = self._books.unfinished()
        with self._books.lock:
            posted = {post.path for post in self._books.posts if post.answered}
            left += [f"no callback at {path}" for path in self._books.subscribed - posted]
        if not left:
            left += [f"{count} messages in {queue}" for queue, count in self._waiting_messages() if count]
            slots = slots_in_use(self._s3, self._bucket)
            left += [f"{len(slots)} slots are in use"] if slots else []
        return left

    def _waiting_messages(self) -> Iterator[tuple[str, int]]:
        """Yields each queue, except the dead one and those of the test, with its number of messages."""
        broker = urlsplit(self._stand.amqp_url)
        login = b64encode(f"{broker.username}:{broker.password}".encode()).decode()
        address = f"{self._stand.ready['management_url']}/api/queues?columns=name,exclusive"
        request = urllib.request.Request(address, headers={"Authorization": f"Basic {login}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                names = [one["name"] for one in json.load(response) if not one.get("exclusive")]
            connection = connect(self._stand.amqp_url)
        except (OSError, amqp.exceptions.AMQPError) as error:
            yield f"the queues: {error!r}", 1
            return
        try:
            channel = connection.channel()
            for name in names:
                if name not in (DEAD, *OWN_QUEUES):
                    yield name, int(channel.queue_declare(name, passive=True).message_count)
        finally:
            connection.collect()

    def check(self, armory: Armory) -> tuple[list[Violation], int]:
        """Checks everything; returns the violations, and how many callbacks and mails were ambiguous."""
        found = self._books.check(self._max_attempts)
        found += check_bucket(self._s3, self._bucket)
        found += [
            Violation("restless", f"{count} messages in {queue}") for queue, count in self._waiting_messages() if count
        ]
        with self._books.lock:
            posts, subscribed = list(self._books.posts), set(self._books.subscribed)
        doubled, ambiguous = check_callbacks(posts, armory.injected, armory.hurt)
        found += doubled
        mails = [(file.stat().st_mtime, file.read_text()) for file in Path(self._stand.ready["mails"]).glob("*.eml")]
        doubled, again = check_mails(mails, self._books.events_of_jobs(), armory.injected)
        found += doubled
        ambiguous += again
        answered = {post.path for post in posts if post.answered}
        found += [Violation("lost", f"no callback at {path}") for path in sorted(subscribed - answered)]
        found += self._secrets()
        return found, ambiguous

    def _secrets(self) -> Iterator[Violation]:
        """Checks that no secret of a private job is left in the dead queue, the bucket or a log."""
        connection = connect(self._stand.amqp_url)
        try:
            channel = connection.channel()
            while (message := channel.basic_get(DEAD, no_ack=True)) is not None:
                if SECRET in str(message.body):
                    yield Violation("secret", "a message in the dead queue holds the secret of a private job")
        finally:
            connection.collect()
        for log in Path(self._stand.ready["logs"]).glob("*.log"):
            with suppress(OSError):
                if SECRET in log.read_text("utf-8", errors="replace"):
                    yield Violation("secret", f"{log.name} holds the secret of a private job")


def shown(violations: list[Violation], armory: Armory) -> str:
    """Formats the first violations of each kind, and the last faults that were injected."""
    lines = []
    for kind in sorted({one.kind for one in violations}):
        same = [one for one in violations if one.kind == kind]
        lines.append(f"{kind}: {len(same)}")
        lines += [f"    {one.text}" for one in same[:10]]
    if violations:
        lines.append("faults:")
        lines += [f"    {one.at:.1f} {one.stage}: {one.fault}: {one.what}" for one in armory.injected[-200:]]
        lines.append("processes that were killed or stopped:")
        lines += [f"    {one.at:.1f} {one.pid}" for one in armory.hurt]
    return "\n".join(lines)


def final_line(books: Books, violations: list[Violation], ambiguous: int) -> str:
    """Returns the one line of a run."""
    counts: Any = books.counts()
    lost = sum(one.lost for one in violations)
    doubled = len(violations) - lost
    return (
        f"accepted={counts['accepted']} done={counts['done']} failed={counts['failed']}"
        f" lost={lost} doubled={doubled} ambiguous={ambiguous}"
    )
