"""Announces how a job ended: on the EventBridge bus, and to AMQP consumers.

    announced: false ──▶ dead queue, if a retry could have helped ──▶ bus ──▶ shot_direct ──▶ announced: true

A function that dies on the way leaves `announced: false`, and the next one that sees the record announces the end again
under the same `event_key`.
"""

from __future__ import annotations

from datetime import datetime

from urlshot.broker import Publisher
from urlshot.bus import Bus
from urlshot.errors import UrlshotError
from urlshot.events import Detail, detail, refusal
from urlshot.logs import logger
from urlshot.messages import COMPLETED, EXCHANGE, FAILED, StartMessage
from urlshot.parking import Parking
from urlshot.records import Record
from urlshot.s3 import Conflict, Gone
from urlshot.store import Store

log = logger()


class Announcer:
    """Announces the ends of jobs; safe to share between threads."""

    def __init__(self, store: Store, publisher: Publisher, bus: Bus, parking: Parking) -> None:
        self._store = store
        self._publisher = publisher
        self._bus = bus
        self._parking = parking

    def end(self, message: StartMessage, record: Record, etag: str, correlation_id: str) -> str:
        """Writes an end in place of the record with `etag`, and announces it; returns the state.

        Raises:
            Conflict, Gone: the record is another by now, or deleted; nothing was announced.
            Transient, Broken: storage, bus or broker do not answer; the end may be written and has to be announced.
        """
        return self.announce(message, record, self._store.change(record, etag), correlation_id)

    def announce(self, message: StartMessage, record: Record, etag: str, correlation_id: str) -> str:
        """Announces an end that is written, and notes that it is announced; returns the state.

        `message` is the job's own, which is kept in the dead queue if the job failed and a retry could have helped.

        Raises:
            Transient, Broken: as `end`.
        """
        if record.state == "failed":
            # A `settle` that died between the publish and `done` leaves the PDF of a job that then fails.
            self._store.withdraw_pdf(record.id, generation=record.generation)
        if record.error is not None and record.state == "failed" and record.error.get("retryable"):
            self._parking.bury_job(message, record.error)
        self.tell(detail(record, self._store.bucket), correlation_id)
        try:
            self._store.change(record.with_(announced=True), etag)
        except Conflict:
            log.info("job: taken over after its end", extra={"job_id": record.id, "generation": record.generation})
        except Gone:
            log.info("job: deleted after its end", extra={"job_id": record.id, "generation": record.generation})
            self._store.withdraw_pdf(record.id, generation=record.generation)
        log.info(f"job: {record.state}", extra={"job_id": record.id, "generation": record.generation})
        return record.state

    def tell(self, event: Detail, correlation_id: str) -> None:
        """Puts an event on the bus and publishes it to the exchange, where there may be no consumer."""
        self._bus.put([event])
        key = FAILED if event.error else COMPLETED
        self._publish(key, event.model_dump_json().encode(), event.id, correlation_id)

    def refuse(self, body: bytes, error: UrlshotError, at: datetime, correlation_id: str) -> None:
        """Keeps a message that can never be done in the dead queue, and tells its producer why."""
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
