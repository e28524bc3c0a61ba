"""Announces the end of a job on the EventBridge bus and to AMQP consumers.

    announced: false ──▶ dead queue, if a retry could have helped ──▶ bus ──▶ shot_direct ──▶ announced: true

If a function dies on the way, the record keeps `announced: false`. The next function that sees the record announces the
end again, with the same `event_key`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from urlshot.adapters.broker import Publisher
from urlshot.adapters.bus import Bus
from urlshot.adapters.logs import logger
from urlshot.adapters.s3 import Conflict, Gone
from urlshot.adapters.store import Store
from urlshot.core.errors import UrlshotError
from urlshot.core.events import Detail, detail, refusal
from urlshot.core.messages import COMPLETED, EXCHANGE, FAILED, StartMessage
from urlshot.core.records import Record, now
from urlshot.lifecycle import withdrawal
from urlshot.lifecycle.parking import Parking

log = logger()


class Announcer:
    """Announces the ends of jobs; safe to share between threads."""

    def __init__(
        self, store: Store, publisher: Publisher, bus: Bus, parking: Parking, clock: Callable[[], datetime] = now
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._bus = bus
        self._parking = parking
        self._clock = clock

    def end(self, message: StartMessage, record: Record, etag: str, correlation_id: str) -> str:
        """Writes an ended record over the one with `etag`, and announces the end.

        Args:
            message: The job's message, for the dead queue.
            record: The record with the end.
            etag: The ETag of the stored record.
            correlation_id: Identifies the request in log lines and messages.

        Returns:
            The state of the record: `done` or `failed`.

        Raises:
            Conflict, Gone: The record was changed or deleted meanwhile. Nothing was announced.
            Transient, Broken: Storage, bus or broker failed. The end may be written and still has to be announced.
        """
        return self.announce(message, record, self._store.change(record, etag), correlation_id)

    def announce(self, message: StartMessage, record: Record, etag: str, correlation_id: str) -> str:
        """Announces an end that is already written, and writes `announced` into the record.

        The arguments and the result are those of `end`. The message goes to the dead queue if the job failed with an
        error that a retry could have helped.

        Raises:
            Transient, Broken: As in `end`.
        """
        at = self._clock()  # not later: another function may announce the end meanwhile, and a newer render may begin
        if record.state == "failed":
            # If `settle` died after it published the PDF and before it wrote `done`, a failed job still has a PDF.
            withdrawal.clear(self._store, record)
        if record.error is not None and record.state == "failed" and record.error.get("retryable"):
            self._parking.bury_job(message, record.error)
        self.announce_event(detail(record, self._store.bucket, at), correlation_id)
        try:
            self._store.change(record.with_(announced=True), etag)
        except Conflict:
            log.info("job: taken over after its end", extra={"job_id": record.id, "generation": record.generation})
        except Gone:
            log.info("job: deleted after its end", extra={"job_id": record.id, "generation": record.generation})
            withdrawal.withdraw(self._store, record.id, generation=record.generation)
        log.info(f"job: {record.state}", extra={"job_id": record.id, "generation": record.generation})
        return record.state

    def announce_event(self, event: Detail, correlation_id: str) -> None:
        """Puts an event on the bus and publishes it to the exchange, which may have no consumer for it."""
        self._bus.put([event])
        key = FAILED if event.error else COMPLETED
        self._publish(key, event.model_dump_json().encode(), event.id, correlation_id)

    def refuse(self, body: bytes, error: UrlshotError, at: datetime, correlation_id: str) -> None:
        """Moves a message that can never succeed to the dead queue, and publishes the reason for its producer."""
        self._parking.bury(body, error.public())
        event = refusal(body, error.public(), at)
        self._publish(FAILED, event.model_dump_json().encode(), "", correlation_id)

    def _publish(self, key: str, body: bytes, message_id: str, correlation_id: str) -> None:
        self._publisher.publish(
            EXCHANGE,
            key,
            body,
            message_id=message_id,
            correlation_id=correlation_id,
            type=key,
            mandatory=False,
        )
