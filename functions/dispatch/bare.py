"""Accepts bare messages, which any AMQP client may publish: each starts a job, joins one, or finds its PDF."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from functions.dispatch.batch import Delivery
from urlshot.adapters.logs import logger
from urlshot.adapters.store import Store
from urlshot.core import events, records
from urlshot.core.egress import Egress
from urlshot.core.identity import job_id, private_id, target
from urlshot.core.messages import BareMessage
from urlshot.lifecycle.accept import Acceptor, Outcome, Request
from urlshot.lifecycle.announce import Announcer

log = logger()

PATIENCE_SECONDS = records.PUBLISH_LEASE.total_seconds() + 1
"""How long a message waits while another request publishes the same job."""


class BareMessages:
    """Accepts bare messages; is safe to share between threads."""

    def __init__(
        self,
        store: Store,
        acceptor: Acceptor,
        announcer: Announcer,
        egress: Egress,
        max_age: int,
        clock: Callable[[], datetime] = records.now,
    ) -> None:
        """Keeps what the messages are accepted with; an existing PDF of up to `max_age` seconds answers a message."""
        self._store = store
        self._acceptor = acceptor
        self._announcer = announcer
        self._egress = egress
        self._max_age = max_age
        self._clock = clock

    def accept(self, message: BareMessage, delivery: Delivery) -> str:
        """Accepts one message and returns the outcome in one word.

        Raises:
            Rejected: the message is at fault and would fail again.
            Transient, Broken: storage, bus or broker does not answer; the message must be delivered again.
        """
        at = self._clock()
        where = target(message.url, self._egress)
        request = Request(
            id=private_id() if message.private else job_id(where.url, message.options.changed()),
            url=where.url,
            options=message.options,
            max_age=self._max_age,
            at=at,
            private=message.private,
            correlation_id=delivery.correlation_id,
            priority=message.priority or delivery.priority,
        )
        accepted = self._acceptor.accept(request, patience=PATIENCE_SECONDS)
        # The end of this job was announced before. It is announced again for this message, with a new event_key.
        bucket = self._store.bucket
        if accepted.outcome is Outcome.HIT:
            found = self._store.read(request.id)
            event = events.cached(request.id, request.url, bucket, at, found[0].report if found else None)
            self._announcer.announce_event(event, delivery.correlation_id)
        elif accepted.outcome is Outcome.FAILED and accepted.record is not None:
            event = events.announced_again(events.detail(accepted.record, bucket))
            self._announcer.announce_event(event, delivery.correlation_id)
        log.info(f"message: {accepted.outcome.value}", extra={"job_id": request.id, "url": request.url})
        return accepted.outcome.value
